//! `build-image` and `push`, and what a deploy does of the same.

use serde_json::json;

use super::lock;
use crate::{
    cli::{Output, Reporting},
    config::{self, Environment},
    error::Result,
    image::{
        self, Built,
        engine::{self, Docker},
        source::{self, Source},
    },
    registry::{self, Pushed},
    ui::{Done, Outcome, Printer, Step},
};

/// Runs `build-image`: prints the image's digest.
pub(super) async fn run_build(options: Reporting, printer: &Printer) -> Result<()> {
    let (_, built, _lock) = start(&options, "build-image", printer).await?;
    match options.report.output {
        Output::Text => printer.data(built.id.to_string()),
        Output::Json => printer.json(&json!({
            "digest": built.id.to_string(),
            "name": built.name(),
            "bytes": built.size,
            "changed": built.changed,
        })),
    }
    Ok(())
}

/// Runs `push`: prints the image's reference by digest.
pub(super) async fn run_push(options: Reporting, printer: &Printer) -> Result<()> {
    let (environment, built, _lock) = start(&options, "push", printer).await?;
    let docker = engine::connect().await?;
    let pushed = printer.step("push").run(async |step| push(&docker, &environment, &built, step).await).await?;
    match options.report.output {
        Output::Text => printer.data(pushed.image.to_string()),
        Output::Json => printer.json(&json!({
            "reference": pushed.image.to_string(),
            "sent": pushed.sent,
            "existing": pushed.existing,
        })),
    }
    Ok(())
}

async fn start(options: &Reporting, command: &str, printer: &Printer) -> Result<(Environment, Built, lock::Lock)> {
    let root = super::root()?;
    let environment = config::load(&root, &options.target.env)?;
    let lock = lock::take(&root, command)?;
    let docker = engine::connect().await?;
    let source = source::inspect(&root).await?;
    let built = printer.step("build").run(async |step| build(&docker, &environment, &source, step).await).await?;
    Ok((environment, built, lock))
}

/// Builds the image, unless nothing changed.
pub(super) async fn build(
    docker: &Docker,
    environment: &Environment,
    source: &Source,
    step: &Step,
) -> Result<Done<Built>> {
    let built = image::build(docker, environment, source, step).await?;
    let outcome = if built.changed { Outcome::Changed } else { Outcome::Same };
    #[allow(clippy::cast_precision_loss, reason = "a size for people, to a tenth of a megabyte")]
    let size = built.size as f64 / 1e6;
    let summary = format!("{} {size:.1} MB{}", built.name(), if built.changed { "" } else { ", nothing changed" });
    Ok(Done::new(outcome, summary, built))
}

/// Pushes the image, unless the registry has it.
pub(super) async fn push(
    docker: &Docker,
    environment: &Environment,
    built: &Built,
    step: &Step,
) -> Result<Done<Pushed>> {
    let registry = registry::choose(environment, step).await?;
    let pushed = registry::push(docker, &registry, built, step).await?;
    let outcome = if pushed.sent == 0 { Outcome::Same } else { Outcome::Changed };
    let total = pushed.sent + pushed.existing;
    let digest = pushed.image.digest.short();
    Ok(Done::new(outcome, format!("{digest}, {} of {total} layers sent", pushed.sent), pushed))
}
