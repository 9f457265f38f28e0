//! `render`: the manifests of an environment, as they are applied.

use crate::{cli::Render, config, error::Result, manifests, ui::Printer};

/// Prints them.
pub(super) fn run(options: &Render, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let objects = manifests::render(&environment, options.image.as_ref())?;
    printer.bytes(manifests::to_yaml(&objects)?.as_bytes());
    Ok(())
}
