//! The local environment: one background process, started when it is first needed, and the state it keeps.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Client;
use localkube::kubelet::{self, Removed};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    client,
    process::{self, Record, State},
};
use crate::{
    error::{Error, Result},
    image::{self, engine},
    ui::{Outcome, Step},
};

/// How long the process may take until it answers; it takes a fraction of a second unless the machine is busy.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end before it is killed. Nothing is lost by that: the store commits what it answers.
const STOP: Duration = Duration::from_secs(10);
/// How long a process that is starting is left alone.
const SETTLE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// A local environment that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// The process.
    pub pid: u32,
    /// `https://127.0.0.1:PORT`
    pub api: String,
    /// `127.0.0.1:PORT`, as image references begin.
    pub registry: String,
    /// The kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Where it keeps its state.
    pub directory: PathBuf,
}

/// Where the state is kept.
pub fn directory(root: &Path) -> PathBuf {
    root.join(".slipway").join("local")
}

/// The environment, if it runs.
///
/// # Errors
/// When its state cannot be read.
pub fn find(root: &Path) -> Result<Option<Running>> {
    let directory = directory(root);
    // Looking at the lock takes it for a moment, which a process that is starting would not expect.
    if process::record(&directory).is_none() {
        return Ok(None);
    }
    match process::state(&directory)? {
        State::Ready(record) => Ok(Some(running(&directory, record))),
        State::Starting(_) | State::Stopped => Ok(None),
    }
}

/// The environment and a client for it; started if it does not run and restarted if another build of this program serves
/// it; its pods run on meanwhile.
///
/// # Errors
/// When it does not answer within its deadline, with the end of its log.
pub async fn ensure(root: &Path, step: &Step) -> Result<(Running, Client, Outcome)> {
    let directory = directory(root);
    let _one_at_a_time = begin(&directory).await?;
    let build = process::build()?;
    let mut outcome = Outcome::Changed;
    match settled(&directory).await? {
        State::Ready(record) if fs::read_to_string(directory.join("build")).is_ok_and(|served| served == build) => {
            let running = running(&directory, record);
            if let Some(client) = answers(&running).await {
                return Ok((running, client, Outcome::Same));
            }
            step.line("the local environment does not answer: restarting it");
            stop(&directory).await?;
        }
        State::Ready(_) => {
            step.update("restarting the local environment: this program was rebuilt");
            stop(&directory).await?;
        }
        State::Starting(_) => {
            step.line("the local environment's process does not say where it listens: restarting it");
            stop(&directory).await?;
        }
        State::Stopped => outcome = Outcome::Ok,
    }
    step.update("starting the local environment");
    start(&directory, &build).await.map(|(running, client)| (running, client, outcome))
}

/// Stops the process and removes everything that it made. Says what that was, if there was anything.
///
/// # Errors
/// When something cannot be removed; the state stays until everything else is gone, so that it can be tried again.
pub async fn remove(root: &Path, step: &Step) -> Result<Option<Removed>> {
    let directory = directory(root);
    let there = directory.exists();
    let _one_at_a_time = if there { Some(begin(&directory).await?) } else { None };
    if there {
        step.update("stopping the process");
        stop(&directory).await?;
    }
    // Also without a directory: containers carry its name, in case somebody removed it by hand.
    step.update("removing containers, networks, volumes and images");
    let identity = identity(&directory);
    let registry = identity.registry_port.map(|port| format!("127.0.0.1:{port}"));
    let docker = engine::connect().await?;
    let mut removed = kubelet::remove_all(&docker, identity.id.as_deref(), &directory, registry.as_deref())
        .await
        .map_err(|error| Error::failed("remove what the local environment made in Docker").source(&error))?;
    // After the containers: an image that one uses stays.
    removed.images += image::remove_all(&docker, root).await;
    // What the pipeline remembers of its builds and pushes goes, too: it means nothing without the registry.
    let state = root.join(".slipway");
    match fs::remove_dir_all(&state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::failed(format!("remove {}", state.display())).source(&error));
        }
        _ => {}
    }
    Ok((there || removed != Removed::default()).then_some(removed))
}

/// Who the cluster is, as far as a damaged state still tells.
fn identity(directory: &Path) -> Identity {
    let bytes = fs::read(directory.join("cluster.json")).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    id: Option<String>,
    registry_port: Option<u16>,
}

fn running(directory: &Path, record: Record) -> Running {
    Running {
        pid: record.pid,
        api: record.api,
        registry: record.registry,
        kubeconfig: directory.join("kubeconfig"),
        directory: directory.to_owned(),
    }
}

/// Keeps two commands from starting or stopping the process at once.
pub(super) async fn begin(directory: &Path) -> Result<File> {
    let path = directory.join("start.lock");
    let failed = |error: &io::Error| Error::failed(format!("lock {}", path.display())).source(error);
    let deadline = Instant::now() + START + STOP;
    loop {
        fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        let file = match File::options().create(true).append(true).open(&path) {
            Ok(file) => file,
            // Another command removes the directory just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&error)),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(Error::timed_out("wait for the other command that starts or stops the local environment"));
            }
            Ok(()) | Err(TryLockError::WouldBlock) => sleep(POLL).await,
        }
    }
}

/// Whether the file has not been removed since it was opened: a lock on a removed file keeps nobody out.
fn is_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => inode(open) == inode(there),
        _ => false,
    }
}

async fn start(directory: &Path, build: &str) -> Result<(Running, Client)> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| Error::failed(format!("write {}", path.display())).source(&error))
    };
    // What a killed process left says nothing about the one that starts now.
    let _ = fs::remove_file(directory.join("process.json"));
    write("build", build)?;
    let log_begins = fs::metadata(directory.join("serve.log")).map_or(0, |metadata| metadata.len());
    let mut child = process::spawn(directory)?;
    let deadline = Instant::now() + START;
    loop {
        let ended = child.try_wait().map_err(|error| Error::failed("watch the local environment").source(&error))?;
        if let Some(status) = ended {
            let error = Error::failed(format!("the local environment ended as it started ({status})"));
            return Err(with_log(error, directory, log_begins));
        }
        // Not by the lock: looking at it takes it for a moment, and the child is about to.
        if let Some(record) = process::record(directory).filter(|record| record.pid == child.id()) {
            let running = running(directory, record);
            if let Some(client) = answers(&running).await {
                return Ok((running, client));
            }
        }
        if Instant::now() > deadline {
            // Dropping a child does not end it, and nothing must be left half started.
            let _ = child.kill();
            let _ = child.wait();
            let error = Error::timed_out(format!("the local environment is not ready after {} s", START.as_secs()));
            return Err(with_log(error, directory, log_begins));
        }
        sleep(POLL).await;
    }
}

/// The state, once a process that somebody else started a moment ago has had time to say that it is ready.
async fn settled(directory: &Path) -> Result<State> {
    let deadline = Instant::now() + SETTLE;
    loop {
        match process::state(directory)? {
            State::Starting(_) if Instant::now() < deadline => sleep(POLL).await,
            state => return Ok(state),
        }
    }
}

/// Ends the process, if there is one, and waits until it has let go of the directory.
async fn stop(directory: &Path) -> Result<()> {
    let began = Instant::now();
    let mut sent = None;
    loop {
        let process = match process::state(directory)? {
            State::Stopped => return Ok(()),
            State::Ready(record) => Some(record.pid),
            State::Starting(process) => process,
        };
        let wanted = if began.elapsed() < STOP { Signal::TERM } else { Signal::KILL };
        if let Some(process) = process
            && sent != Some(wanted)
        {
            process::signal(process, wanted)?;
            sent = Some(wanted);
        }
        if began.elapsed() > 2 * STOP {
            return Err(Error::timed_out("the local environment's process does not end")
                .hint(format!("end the process that holds {}", directory.join("lock").display())));
        }
        sleep(POLL).await;
    }
}

/// A client for the API, if that says that it is ready.
async fn answers(running: &Running) -> Option<Client> {
    let ask = async {
        let client = client::from_kubeconfig(&running.kubeconfig).await.ok()?;
        let request = http::Request::get("/readyz").body(Vec::new()).ok()?;
        client.request_text(request).await.ok()?;
        Some(client)
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await.ok().flatten()
}

fn with_log(error: Error, directory: &Path, from: u64) -> Error {
    let lines = process::log_tail(directory, from);
    let error = if lines.is_empty() { error } else { error.cause(format!("its last lines:\n{}", lines.join("\n"))) };
    error.hint(format!(
        "its log is {}; when its state is damaged, `cargo xtask local down` removes it",
        directory.join("serve.log").display()
    ))
}
