//! One file a verb.

mod bench;
mod check;
mod completions;
mod deploy;
mod destroy;
mod doctor;
mod local;
mod lock;
mod logs;
mod plan;
mod preflight;
mod release;
mod render;
mod status;
mod test;
mod workload;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{Cli, Command},
    config,
    error::{Error, Kind, Result},
    ui::Printer,
};

/// Runs the command that was given, until it ends or a signal ends it. Dropping what runs ends its children.
///
/// # Errors
/// The command's own.
pub async fn run(cli: Cli, printer: &Printer) -> Result<()> {
    // The local environment's process ends in its own time, after its pods' states are written down.
    if cli.command.handles_signals() {
        return dispatch(cli.command, printer).await;
    }
    let failed = |error: std::io::Error| Error::failed("listen for signals").source(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let changes = cli.command.changes_something();
    tokio::select! {
        result = dispatch(cli.command, printer) => result,
        _ = interrupt.recv() => Err(interrupted("interrupted", changes)),
        _ = terminate.recv() => Err(interrupted("terminated", changes)),
    }
}

async fn dispatch(command: Command, printer: &Printer) -> Result<()> {
    match command {
        Command::Deploy(options) => deploy::run(options, printer).await,
        Command::BuildImage(options) => release::run_build(options, printer).await,
        Command::Push(options) => release::run_push(options, printer).await,
        Command::Render(options) => render::run(&options, printer),
        Command::Plan(options) => plan::run(options, printer).await,
        Command::Destroy(options) => destroy::run(options, printer).await,
        Command::Status(options) => status::run(options, printer).await,
        Command::Logs(options) => logs::run(options, printer).await,
        Command::Doctor(options) => doctor::run(options, printer).await,
        Command::Local(options) => local::run(options, printer).await,
        Command::Check => check::run(printer).await,
        Command::Test(options) => test::run(options, printer).await,
        Command::Bench(options) => bench::run(options, printer).await,
        Command::Completions(options) => completions::run(&options, printer),
    }
}

/// The repository that the current directory lies in.
fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(|error| Error::failed("find the current directory").source(&error))?;
    config::find_root(&here)
}

fn interrupted(how: &str, changes: bool) -> Error {
    let error = Error::new(Kind::Interrupted, how);
    if changes {
        error.hint("what was done stays; run the same command again and it goes on from there")
    } else {
        error
    }
}
