//! One file a verb.

mod completions;

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{Cli, Command},
    error::{Error, Kind, Result},
    ui::Printer,
};

/// Runs the command that was given, until it ends or a signal ends it. Dropping what runs ends its children.
///
/// # Errors
/// The command's own.
pub async fn run(cli: Cli, printer: &Printer) -> Result<()> {
    let failed = |error: std::io::Error| Error::failed("listen for signals").source(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        result = dispatch(cli, printer) => result,
        _ = interrupt.recv() => Err(interrupted("interrupted")),
        _ = terminate.recv() => Err(interrupted("terminated")),
    }
}

fn interrupted(how: &str) -> Error {
    Error::new(Kind::Interrupted, how).hint("run the same command again: it goes on from what is there")
}

async fn dispatch(cli: Cli, printer: &Printer) -> Result<()> {
    match cli.command {
        Command::Completions(options) => completions::run(&options, printer),
        _ => Err(Error::failed("this command is not there yet")),
    }
}
