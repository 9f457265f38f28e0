//! A rehearsal: an emulator of AWS on loopback, whose clusters are this very program in the place of k3s, so that a
//! deploy to EKS can be tried without an account.
//!
//! The emulator is MiniStack, in a pinned environment of Python's under `target/`. It keeps its state in memory: it is
//! empty when it starts, and gone when it ends.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use localkube::kubelet::{self, Removed};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{local, process};
use crate::{
    config::Aws,
    error::{Error, Result},
    image::{self, engine, node},
    programs::venv,
    ui::{Done, Outcome, Step},
};

/// The secret of whoever signs in a rehearsal, the account's root user; `aws::connect` knows it, too. What it lets anybody
/// do is to play with an emulator.
const SECRET: &str = "emulator";

const REQUIREMENTS: &str = include_str!("requirements.txt");
const VENV: &str = "target/rehearsal-venv";
const LAUNCH: &str = include_str!("launch.py");
/// Answers what the emulator does not know; `launch.py` looks for it beside itself.
const STAND_IN: &str = include_str!("standin.py");
/// What the pipeline uses; each further one takes memory.
const SERVICES: &str = "cloudformation,ec2,ecr,eks,iam,s3,secretsmanager,ssm,sts";
/// How long the emulator may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// The process, as `emulator.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Emulator {
    pid: u32,
    port: u16,
}

/// Where a rehearsal keeps its state.
fn directory(root: &Path) -> PathBuf {
    root.join(".slipway").join("rehearsal")
}

/// Has the emulator's programs there.
///
/// # Errors
/// They cannot be installed.
pub async fn programs(root: &Path, step: &Step) -> Result<Done<PathBuf>> {
    venv::create(root, VENV, REQUIREMENTS, step).await
}

/// The address of the emulator that an environment is rehearsed on, if it is.
pub fn address(aws: &Aws) -> Option<SocketAddr> {
    let authority = aws.endpoint.as_deref()?.strip_prefix("http://")?;
    let port = authority.rsplit(':').next()?.parse().ok()?;
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Whether there should be an emulator, and none answers.
pub async fn is_missing(aws: &Aws) -> bool {
    match address(aws) {
        Some(address) => TcpStream::connect(address).await.is_err(),
        None => false,
    }
}

/// Has an emulator answer at an environment's endpoint, started unless something does already.
///
/// # Errors
/// It does not start, with the end of its log.
pub async fn ensure(root: &Path, aws: &Aws, address: SocketAddr, step: &Step) -> Result<Outcome> {
    let directory = directory(root);
    let _one_at_a_time = local::begin(&directory).await?;
    if TcpStream::connect(address).await.is_ok() {
        return Ok(Outcome::Same);
    }
    end(&directory).await?;
    step.update("programs of the rehearsal");
    let venv = programs(root, step).await?.value;
    step.update("the image of its clusters");
    let docker = engine::connect().await?;
    let clusters = directory.join("clusters");
    fs::create_dir_all(&clusters).map_err(|error| failed("create", &clusters, &error))?;
    let image = format!("{}:node", image_name(&directory));
    node::make(&docker, &image, &clusters, &venv.join("bin/kubectl"), &directory).await?;
    step.update("starting the emulator");
    let mut child = spawn(&directory, &venv, aws, address.port(), &image)?;
    let emulator = Emulator { pid: child.id(), port: address.port() };
    let text = serde_json::to_string(&emulator).map_err(|error| Error::failed("write emulator.json").source(&error))?;
    fs::write(record(&directory), text).map_err(|error| failed("write", &record(&directory), &error))?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        let ended = child.try_wait().map_err(|error| Error::failed("watch the emulator").source(&error))?;
        if ended.is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            let error = match ended {
                Some(status) => Error::failed(format!("the emulator of AWS ended as it started ({status})")),
                None => Error::timed_out(format!("the emulator of AWS does not listen at {address}")),
            };
            return Err(error.cause(log_end(&directory)));
        }
        sleep(POLL).await;
    }
    Ok(Outcome::Changed)
}

/// Ends the emulator and removes everything that it made. Says what was left of its clusters, if it ran at all.
///
/// # Errors
/// Something cannot be removed.
pub async fn remove(root: &Path, step: &Step) -> Result<Option<Removed>> {
    let directory = directory(root);
    if !directory.exists() {
        return Ok(None);
    }
    let _one_at_a_time = local::begin(&directory).await?;
    step.update("ending the emulator");
    let registry = read(&directory).map(|emulator| format!("127.0.0.1:{}", emulator.port));
    end(&directory).await?;
    step.update("removing containers, networks and images");
    let docker = engine::connect().await?;
    let mut removed = Removed::default();
    for cluster in fs::read_dir(directory.join("clusters")).into_iter().flatten().flatten() {
        add(&mut removed, sweep(&docker, &cluster.path(), None).await?);
    }
    add(&mut removed, sweep(&docker, &directory, registry.as_deref()).await?);
    // A local environment may still need what was built; it takes it along when it goes.
    if !local::directory(root).exists() {
        removed.images += image::remove_all(&docker, root).await;
    }
    node::remove(&docker, &image_name(&directory)).await;
    fs::remove_dir_all(&directory).map_err(|error| failed("remove", &directory, &error))?;
    Ok(Some(removed))
}

async fn sweep(docker: &engine::Docker, directory: &Path, registry: Option<&str>) -> Result<Removed> {
    kubelet::remove_all(docker, None, directory, registry)
        .await
        .map_err(|error| Error::failed("remove what the rehearsal's cluster made in Docker").source(&error))
}

fn add(all: &mut Removed, more: Removed) {
    all.containers += more.containers;
    all.volumes += more.volumes;
    all.networks += more.networks;
    all.images += more.images;
}

/// Images of one checkout do not get in the way of another's.
fn image_name(directory: &Path) -> String {
    let hash = Sha256::digest(directory.display().to_string());
    format!("slipway-rehearsal-{}", hex::encode(&hash[..4]))
}

fn record(directory: &Path) -> PathBuf {
    directory.join("emulator.json")
}

fn read(directory: &Path) -> Option<Emulator> {
    serde_json::from_slice(&fs::read(record(directory)).ok()?).ok()
}

/// Ends the process of the record, if it is still the emulator.
async fn end(directory: &Path) -> Result<()> {
    let Some(emulator) = read(directory) else { return Ok(()) };
    let deadline = Instant::now() + PATIENCE;
    let mut signal = Signal::TERM;
    while is_emulator(directory, emulator.pid) {
        process::signal(emulator.pid, signal)?;
        // Its clusters are asked to end first, which takes them some seconds each.
        let asked = Instant::now();
        while is_emulator(directory, emulator.pid) && asked.elapsed() < PATIENCE / 3 {
            sleep(POLL).await;
        }
        signal = Signal::KILL;
        if Instant::now() > deadline {
            return Err(Error::timed_out(format!("process {}, the emulator of AWS, does not end", emulator.pid)));
        }
    }
    fs::remove_file(record(directory)).map_err(|error| failed("remove", &record(directory), &error))
}

/// Another process may have the number by now; the emulator's command line names its own script.
fn is_emulator(directory: &Path, pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let script = script(directory).display().to_string();
    words.split(|byte| *byte == 0).any(|word| word == script.as_bytes())
}

fn script(directory: &Path) -> PathBuf {
    directory.join("launch.py")
}

fn spawn(directory: &Path, venv: &Path, aws: &Aws, port: u16, image: &str) -> Result<Child> {
    let doing = |error: &io::Error| Error::failed("start the emulator of AWS").source(error);
    fs::write(script(directory), LAUNCH).map_err(|error| doing(&error))?;
    fs::write(directory.join("standin.py"), STAND_IN).map_err(|error| doing(&error))?;
    let log = File::create(directory.join("emulator.log")).map_err(|error| doing(&error))?;
    let errors = log.try_clone().map_err(|error| doing(&error))?;
    // The kernel's choice, so that rehearsals of two checkouts do not meet.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let clusters = free.map_err(|error| doing(&error))?.port();
    Command::new(venv.join("bin/python"))
        .arg(script(directory))
        .arg(directory)
        .arg(engine::socket())
        .env("GATEWAY_PORT", port.to_string())
        .env("EKS_BASE_PORT", clusters.to_string())
        .env("EKS_K3S_IMAGE", image)
        .env("SERVICES", SERVICES)
        .env("IOT_MTLS_ENABLED", "0")
        // Every request is checked against IAM, and every token of a cluster against its access entries.
        .env("AUTH", "true")
        .env("AWS_ACCESS_KEY_ID", &aws.account)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("MINISTACK_ACCOUNT_ID", &aws.account)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("HOSTNAME")
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| doing(&error))
}

fn log_end(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("emulator.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("{verb} {}", path.display())).source(error)
}
