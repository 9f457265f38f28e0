//! `apply`: a saved plan, exactly as it was shown or not at all.

use super::{deploy, interrupt::Interrupt};
use crate::{
    cli::{Apply, Changes, Deploy, Target},
    error::{Error, Result},
    plan::Saved,
    ui::Printer,
};

/// Runs a deploy of the plan's image that ends before it begins if anything moved since.
pub(super) async fn run(options: Apply, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let saved = Saved::read(&options.file)?;
    let image = saved.image.parse().map_err(|error| {
        Error::usage(format!("{}: `{}` is no image by digest: {error}", options.file.display(), saved.image))
    })?;
    let deploy = Deploy {
        target: Target { env: saved.environment.clone(), services: vec![saved.service.clone()] },
        report: options.report,
        changes: Changes::default(),
        yes: options.yes,
        image: Some(image),
        wait_lock: options.wait_lock,
    };
    deploy::carry_out("apply", &deploy, Some(&saved), printer, interrupt).await
}
