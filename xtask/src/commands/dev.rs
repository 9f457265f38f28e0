//! `dev`: the service as a process of this machine, built and started anew whenever its source changes.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

use super::interrupt::Interrupt;
use crate::{
    cli::Dev,
    config::variables,
    error::{Error, Result},
    image,
    ui::Printer,
};

/// Editors write a file in several steps, and several files at once.
const SETTLED: Duration = Duration::from_millis(100);
/// How long the service may take to end: more than it takes by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Settings that suit a machine on which somebody develops, where the environment has none: nobody else is served, and
/// no load balancer has to hear of the end.
const SETTINGS: [(&str, &str); 2] = [("ADDRESS", "127.0.0.1"), ("DRAIN_DELAY", "0s")];
/// Files of the repository's root that decide what is built.
const ROOT: [&str; 2] = ["Cargo.toml", "Cargo.lock"];

/// Serves until it is interrupted. What does not build leaves running what did.
pub(super) async fn run(options: Dev, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let folders = image::folders(&root, &options.package).await?;
    let (_watcher, mut changes) = watch(&root, &folders)?;
    let mut service = None;
    let work = async {
        loop {
            match build(&root, &options.package).await {
                Ok((_, true)) if service.is_some() => printer.words("the program is the same"),
                Ok((program, _)) => {
                    stop(&mut service).await;
                    printer.words(format!("starting {}", program.display()));
                    service = Some(start(&program)?);
                }
                Err(error) => printer.error(&error),
            }
            changed(&mut changes, &mut service, printer).await?;
        }
    };
    let ended = interrupt.guard(work).await;
    stop(&mut service).await;
    ended
}

/// Tells of changes as long as the watcher is kept.
fn watch(root: &Path, folders: &[PathBuf]) -> Result<(RecommendedWatcher, mpsc::Receiver<()>)> {
    // One is enough to know of any number.
    let (sender, changes) = mpsc::channel(1);
    let failed = |error: &notify::Error| Error::failed("watch the source").source(error);
    let (top, mut inside) = (root.to_owned(), Vec::new());
    for folder in folders {
        inside.push(root.join(folder));
    }
    let watched = inside.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let ours = |path: &PathBuf| {
            let at_top = path.parent() == Some(&top) && ROOT.iter().any(|name| path.ends_with(name));
            at_top || inside.iter().any(|folder| path.starts_with(folder))
        };
        // Building reads them.
        if !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(ours) {
            let _ = sender.try_send(());
        }
    })
    .map_err(|error| failed(&error))?;
    for folder in &watched {
        watcher.watch(folder, RecursiveMode::Recursive).map_err(|error| failed(&error))?;
    }
    if !watched.iter().any(|folder| folder == root) {
        watcher.watch(root, RecursiveMode::NonRecursive).map_err(|error| failed(&error))?;
    }
    Ok((watcher, changes))
}

/// Waits for a change. A service that ends before there is one is told of.
async fn changed(changes: &mut mpsc::Receiver<()>, service: &mut Option<Child>, printer: &Printer) -> Result<()> {
    while let Some(child) = service {
        tokio::select! {
            change = changes.recv() => { change.ok_or_else(|| Error::failed("watch the source"))?; break }
            status = child.wait() => {
                let status = status.map_err(|error| Error::failed("wait for the service").source(&error))?;
                printer.warning(format!("the service has ended ({status}); it is started again when its source changes"));
                *service = None;
            }
        }
    }
    if service.is_none() {
        changes.recv().await.ok_or_else(|| Error::failed("watch the source"))?;
    }
    while timeout(SETTLED, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
    Ok(())
}

/// The program, and whether it is the one of before. What the compiler says goes to stderr as ever.
async fn build(root: &Path, package: &str) -> Result<(PathBuf, bool)> {
    let doing = || format!("build {package}");
    let mut command = Command::new(variables::cargo());
    command
        .args(["build", "--package", package, "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| Error::failed(doing()).source(&error))?;
    if !output.status.success() {
        return Err(Error::failed(doing()).hint("what was built before serves on; save a file to try again"));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut programs = messages.filter_map(|message| {
        let path = PathBuf::from(message["executable"].as_str()?);
        Some((path, message["fresh"] == true))
    });
    programs.next_back().ok_or_else(|| Error::usage(format!("the package {package} has no program to start")))
}

fn start(program: &Path) -> Result<Child> {
    let mut command = Command::new(program);
    let settings = SETTINGS.into_iter().filter(|(name, _)| !variables::is_set(name));
    command.envs(settings).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().map_err(|error| Error::failed(format!("start {}", program.display())).source(&error))
}

/// Asks the service to end, and waits until it has.
async fn stop(service: &mut Option<Child>) {
    let Some(mut child) = service.take() else { return };
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
