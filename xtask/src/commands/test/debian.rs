//! Programs of the distribution that the tests run against.

use std::path::Path;

use tokio::process::Command;

use crate::{
    config::variables,
    error::{Error, Result},
    programs::run_quietly,
    ui::{Done, Outcome, Step},
};

/// A program and the Debian package that has it.
const PROGRAMS: [(&str, &str); 13] = [
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("busybox", "busybox-static"),
    ("mariadb", "mariadb-client-core"),
    // Its servers without the service, which would start one.
    ("mariadb-install-db", "mariadb-server-core"),
    ("docker-compose", "docker-compose"),
    ("promtool", "prometheus"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("python3", "python3-venv"),
    ("git", "git"),
    ("curl", "curl"),
    ("redis-server", "redis-server"),
];

/// Installs those that are missing.
pub(super) async fn install(step: &Step) -> Result<Done<()>> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(Done::new(Outcome::Same, "all there", ()));
    }
    let list = missing.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(Error::failed(format!(
            "programs that the tests need are missing: {list} (named as Debian's packages)"
        ))
        .hint("install them with this system's package manager"));
    }
    step.update(format!("apt-get install {list}"));
    // A package list may never have been fetched on this machine; installing says so only by failing.
    let install = [&["apt-get", "install", "--yes", "--no-install-recommends"], missing.as_slice()].concat();
    let hint = format!("install them: sudo apt-get install {list}");
    if apt(&install).await.is_err() {
        apt(&["apt-get", "update"]).await.map_err(|error| error.hint(hint.clone()))?;
        apt(&install).await.map_err(|error| error.hint(hint))?;
    }
    Ok(Done::new(Outcome::Changed, format!("installed {list}"), ()))
}

fn is_there(program: &str) -> bool {
    // On Debian busybox itself may be the dynamic one, which runs in no image FROM scratch.
    if program == "busybox" && Path::new("/var/lib/dpkg/info").is_dir() {
        return Path::new("/var/lib/dpkg/info/busybox-static.list").exists();
    }
    if program == "python3" && Path::new("/var/lib/dpkg/info").is_dir() {
        return Path::new("/var/lib/dpkg/info/python3-venv.list").exists();
    }
    variables::path().iter().any(|directory| directory.join(program).is_file())
}

async fn apt(arguments: &[&str]) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let mut command = if root {
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]);
        command
    } else {
        // Without a terminal to ask on, sudo must not ask.
        let mut command = Command::new("sudo");
        command.arg("-n").args(arguments);
        command
    };
    // A package of a server would start it, on every address of this machine; in runlevel 1 none starts.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    run_quietly(&mut command, &arguments.join(" ")).await
}
