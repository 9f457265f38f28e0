//! `render`: the manifests of an environment, as they are applied.

use crate::{
    cli::{Manifests, Render},
    config,
    error::{Error, Result},
    manifests,
    ui::Printer,
};

/// Prints them.
pub(super) fn run(options: &Render, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    if units.len() > 1 && options.image.is_some() {
        return Err(Error::usage("--image is of one service").hint("name it with --service"));
    }
    let mut objects = Vec::new();
    for unit in units {
        objects.extend(manifests::render(unit, options.image.as_ref())?);
    }
    let text = match options.format {
        Manifests::Yaml => manifests::to_yaml(&objects),
        Manifests::Json => manifests::to_json(&objects),
    };
    printer.bytes(text.as_bytes());
    Ok(())
}
