//! `bench tools`: a deploy that changes nothing, beside the same work by the programs that it replaces.
//!
//! The script and the playbook build (from Docker's cache), push to the ECR of an emulator on loopback, apply a namespace,
//! a Deployment and a Service to the clone's local Kubernetes and wait; a deploy does all of it with more objects, and
//! asks the service besides.

use std::{fs, path::Path, time::Duration};

use tokio::{net::TcpStream, process::Command, time::Instant};

use super::{
    figures::Figures,
    ground::{self, Ground},
    output,
};
use crate::{
    config::variables,
    error::{Error, Result},
    programs::venv,
    ui::{Done, Outcome, Printer},
};

/// What the script and the playbook work on.
const FILES: &str = "xtask/benches/tools";
/// Where their programs are.
const VENV: &str = "target/bench-venv";
const REQUIREMENTS: &str = include_str!("../../../benches/tools/requirements.txt");
/// How long the emulator may take to listen.
const START: Duration = Duration::from_secs(60);

/// Measures all three in one run.
pub(super) async fn figures(root: &Path, printer: &Printer) -> Result<Figures> {
    let venv = printer.step("programs").run(async |step| venv::create(root, VENV, REQUIREMENTS, step).await).await?;
    ground::in_a_clone(root, async |clone| measure(clone, &venv, printer).await).await
}

async fn measure(clone: &Ground, venv: &Path, printer: &Printer) -> Result<Figures> {
    let deploy = ["deploy", "--quiet"];
    let step = printer.step("deploy");
    let ours = step.run(async |_| {
        clone.xtask(&deploy).await?;
        let took = ground::median(async || clone.xtask(&deploy).await.map(drop)).await?;
        Ok(Done::new(Outcome::Ok, "nothing changed", took))
    });
    let ours = ours.await?;
    let work = Work::new(clone, venv).await?;
    let playbook = work.directory.join("playbook.yaml");
    let python = format!("ansible_python_interpreter={}", venv.join("bin/python").display());
    let script = async || output(work.command("sh").arg(work.directory.join("deploy.sh")), "deploy.sh").await.map(drop);
    let ansible = async || {
        let mut command = work.command("ansible-playbook");
        command.args(["-i", "localhost,", "-e", &python]).arg(&playbook);
        output(&mut command, "ansible-playbook").await.map(drop)
    };
    let step = printer.step("script");
    let script = step.run(async |_| {
        // The first time it uploads.
        script().await?;
        Ok(Done::new(Outcome::Ok, "nothing changed", ground::median(script).await?))
    });
    let script = script.await;
    let step = printer.step("ansible");
    let ansible = step.run(async |_| {
        ansible().await?;
        Ok(Done::new(Outcome::Ok, "nothing changed", ground::median(ansible).await?))
    });
    let ansible = ansible.await;
    work.remove().await?;

    let mut figures = Figures { unit: ours, list: Vec::new() };
    figures.time("`cargo xtask deploy`, nothing changed, the unit", ours);
    figures.time("a script of docker, aws and kubectl, nothing changed", script?);
    figures.time("an Ansible playbook, nothing changed", ansible?);
    Ok(figures)
}

/// The other programs' files, their emulator and the variables that lead them to it.
struct Work<'a> {
    directory: std::path::PathBuf,
    clone: &'a Ground,
    venv: &'a Path,
    registry: String,
    emulator: tokio::process::Child,
}

impl<'a> Work<'a> {
    async fn new(clone: &'a Ground, venv: &'a Path) -> Result<Self> {
        let directory = clone.directory.join(FILES);
        let binary = clone.directory.join("target/image/x86_64-unknown-linux-gnu/quick/app");
        fs::copy(&binary, directory.join("app"))
            .map_err(|error| Error::failed(format!("copy {}", binary.display())).source(&error))?;
        let address = ground::free_address()?;
        let mut command = Command::new(venv.join("bin/ministack"));
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", address.port().to_string())
            .env("SERVICES", "ecr,sts")
            .env("IOT_MTLS_ENABLED", "0")
            .current_dir(&directory)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true);
        let emulator = command.spawn().map_err(|error| Error::failed("start ministack").source(&error))?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() > deadline {
                return Err(Error::timed_out(format!("ministack does not listen at {address}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { directory, clone, venv, registry: address.to_string(), emulator })
    }

    fn command(&self, program: &str) -> Command {
        let mut path = vec![self.venv.join("bin")];
        path.extend(variables::path());
        let mut command = Command::new(program);
        command
            .env("PATH", std::env::join_paths(path).unwrap_or_default())
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.registry))
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("AWS_DEFAULT_REGION", "us-east-2")
            .env("REGISTRY", &self.registry)
            .env("DOCKER_CONFIG", self.clone.directory.join("target/docker"))
            .env("KUBECONFIG", self.clone.directory.join(".slipway/local/kubeconfig"));
        command
    }

    /// Removes what they made outside the clone's environment, and ends the emulator.
    async fn remove(mut self) -> Result<()> {
        let image = format!("{}/app:bench", self.registry);
        output(self.command("docker").args(["rmi", "--force", &image]), "docker rmi").await?;
        self.emulator.kill().await.map_err(|error| Error::failed("end ministack").source(&error))
    }
}
