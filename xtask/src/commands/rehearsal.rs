//! `rehearsal`: the emulator of AWS.

use std::path::Path;

use localkube::kubelet::Removed;

use crate::{
    cli::{Rehearsal, RehearsalCommand},
    cluster::rehearsal,
    config,
    error::Result,
    ui::{Done, Outcome, Printer, Step},
};

/// Runs the verb.
pub(super) async fn run(options: &Rehearsal, printer: &Printer) -> Result<()> {
    match options.command {
        RehearsalCommand::Down => down(printer).await,
    }
}

/// Starts the emulator where the environment has one and it does not run. What is wrong with the configuration is for
/// others to say.
pub(super) async fn begin(root: &Path, name: &str, printer: &Printer) -> Result<()> {
    let Ok(environment) = config::load(root, name) else { return Ok(()) };
    let Some(aws) = &environment.aws else { return Ok(()) };
    let Some(address) = rehearsal::address(aws) else { return Ok(()) };
    let start = async |step: &Step| {
        let outcome = rehearsal::ensure(root, aws, address, step).await?;
        Ok(Done::new(outcome, format!("an emulator of AWS at {address}"), ()))
    };
    printer.step("rehearsal").run(start).await
}

/// Ends it and says what was left.
pub(super) async fn down(printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let remove = async |step: &Step| {
        Ok(match rehearsal::remove(&root, step).await? {
            None => Done::new(Outcome::Same, "there was nothing", ()),
            Some(removed) => {
                let Removed { containers, images, .. } = removed;
                Done::new(Outcome::Changed, format!("ended; removed {containers} containers, {images} images"), ())
            }
        })
    };
    printer.step("rehearsal").run(remove).await
}
