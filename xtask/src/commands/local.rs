//! `local`: the embedded Kubernetes of this machine.

use std::path::Path;

use localkube::kubelet::Removed;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::lock;
use crate::{
    cli::{Local, LocalCommand, Node, Output, Report, Serve},
    cluster::local::{self, Running},
    error::{Error, Result},
    ui::{Done, Outcome, Printer},
};

/// Runs one of its verbs.
pub(super) async fn run(options: Local, printer: &Printer) -> Result<()> {
    match options.command {
        LocalCommand::Serve(options) => serve(options).await,
        LocalCommand::Node(options) => node(options).await,
        LocalCommand::Up(report) => up(&super::root()?, report, printer).await,
        LocalCommand::Down => down(&super::root()?, printer).await,
        LocalCommand::Status(report) => status(&super::root()?, report, printer),
        LocalCommand::Kubeconfig => kubeconfig(&super::root()?, printer),
    }
}

async fn up(root: &Path, report: Report, printer: &Printer) -> Result<()> {
    let start = async |step: &_| {
        let (running, _, outcome) = local::ensure(root, step).await?;
        Ok(Done::new(outcome, format!("{} (process {})", running.api, running.pid), running))
    };
    let running = printer.step("local").run(start).await?;
    if report.output == Output::Json {
        printer.json(&document(Some(&running)));
    } else {
        printer.words(format!("\nexport KUBECONFIG={}", running.kubeconfig.display()));
    }
    Ok(())
}

async fn down(root: &Path, printer: &Printer) -> Result<()> {
    let _lock = lock::take(root, "local down")?;
    let remove = async |step: &_| {
        Ok(match local::remove(root, step).await? {
            None => Done::new(Outcome::Same, "there was nothing", ()),
            Some(removed) => {
                let Removed { containers, networks, volumes, images } = removed;
                let counts =
                    format!("{containers} containers, {networks} networks, {volumes} volumes, {images} images");
                Done::new(Outcome::Changed, format!("removed {counts}"), ())
            }
        })
    };
    printer.step("local").run(remove).await
}

fn status(root: &Path, report: Report, printer: &Printer) -> Result<()> {
    let running = local::find(root)?;
    match (report.output, &running) {
        (Output::Json, running) => printer.json(&document(running.as_ref())),
        (Output::Text, None) => printer.data("stopped"),
        (Output::Text, Some(running)) => {
            printer.data("running");
            printer.data(format!("process     {}", running.pid));
            printer.data(format!("api         {}", running.api));
            printer.data(format!("registry    {}", running.registry));
            printer.data(format!("kubeconfig  {}", running.kubeconfig.display()));
        }
    }
    Ok(())
}

fn kubeconfig(root: &Path, printer: &Printer) -> Result<()> {
    let running = local::find(root)?
        .ok_or_else(|| Error::failed("the local environment does not run").hint("start it: cargo xtask local up"))?;
    printer.data(running.kubeconfig.display().to_string());
    Ok(())
}

fn document(running: Option<&Running>) -> serde_json::Value {
    match running {
        None => json!({"running": false}),
        Some(running) => json!({
            "running": true,
            "pid": running.pid,
            "api": running.api,
            "registry": running.registry,
            "kubeconfig": running.kubeconfig,
            "directory": running.directory,
        }),
    }
}

/// Is the background process itself: its stderr is the log.
async fn serve(options: Serve) -> Result<()> {
    let serving = localkube::serve::Options { directory: options.directory, ..Default::default() };
    serve_with(serving).await
}

/// Is the process of a rehearsal's cluster: the container's host name is a name that no other cluster has.
async fn node(options: Node) -> Result<()> {
    let root = Path::new("/");
    let hosted = localkube::serve::Hosted::understand(&options.arguments, root)
        .map_err(|reason| Error::usage("serve in the place of k3s").cause(reason))?;
    let name = std::fs::read_to_string("/etc/hostname")
        .map_err(|error| Error::failed("read /etc/hostname, the container's name").source(&error))?;
    let directory = options.directory.join(name.trim());
    serve_with(localkube::serve::Options { directory, hosted: Some(hosted), ..Default::default() }).await
}

async fn serve_with(options: localkube::serve::Options) -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_env_filter("info").init();
    let failed = |error: std::io::Error| Error::failed("listen for signals").source(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let directory = options.directory.clone();
    localkube::serve::serve(options, shutdown).await.map_err(|error| {
        let failure = Error::failed(format!("serve {}", directory.display())).source(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}
