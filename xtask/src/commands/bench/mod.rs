//! `bench`: the figures of the README, measured here and now.
//!
//! Times depend on the machine, so each is given in seconds and as a multiple of something in the same run.

mod delivery;
mod figures;
mod ground;
mod objects;
mod releases;
mod service;
mod tools;

use tokio::process::Command;

use crate::{
    cli::{Bench, Measured, Output},
    error::{Error, Result},
    ui::Printer,
};

/// Measures and prints a table.
pub(super) async fn run(options: Bench, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let figures = match options.measured {
        Measured::Delivery => delivery::figures(&root, printer).await?,
        Measured::Releases => releases::figures(&root, printer).await?,
        Measured::Objects => objects::figures(&root, printer).await?,
        Measured::Service => service::figures(&root, printer).await?,
        Measured::Tools => tools::figures(&root, printer).await?,
    };
    match options.report.output {
        Output::Json => printer.json(&figures),
        Output::Text => figures.table().into_iter().for_each(|line| printer.data(line)),
    }
    Ok(())
}

/// Runs a program and returns its stdout.
async fn output(command: &mut Command, doing: &str) -> Result<String> {
    let output = command.kill_on_drop(true).output().await.map_err(|error| Error::failed(doing).source(&error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::failed(doing).cause(String::from_utf8_lossy(&output.stderr).trim_end()))
}
