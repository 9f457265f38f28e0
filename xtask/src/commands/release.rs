//! `build-image` and `push`, and what a deploy does of the same.

use serde_json::{Map, Value, json};

use super::lock;
use crate::{
    cli::{Output, Reporting},
    config::{self, Environment, Unit},
    error::Result,
    image::{
        self, Built,
        engine::{self, Docker},
        reference::Reference,
        source::{self, Source},
    },
    registry::{self, Pushed},
    ui::{self, Done, Outcome, Printer, Step},
};

/// Runs `build-image`: prints the image's digest, a line for each service.
pub(super) async fn run_build(options: Reporting, printer: &Printer) -> Result<()> {
    each(&options, "build-image", printer, async |_, _, built| {
        let document = json!({
            "digest": built.id.to_string(),
            "name": built.name(),
            "bytes": built.size,
            "changed": built.changed,
        });
        Ok((built.id.to_string(), document))
    })
    .await
}

/// Runs `push`: prints the image's reference by digest, a line for each service.
pub(super) async fn run_push(options: Reporting, printer: &Printer) -> Result<()> {
    each(&options, "push", printer, async |docker, unit, built| {
        let pushed = printer.step("push").run(async |step| push(docker, unit.environment, &built, step).await).await?;
        let reference = pushed.image.to_string();
        let document = json!({"reference": reference, "sent": pushed.sent, "existing": pushed.existing});
        Ok((reference, document))
    })
    .await
}

/// Builds each service's image, does something with it and prints the line or the document that comes of it.
async fn each(
    options: &Reporting,
    command: &str,
    printer: &Printer,
    work: impl AsyncFn(&Docker, Unit<'_>, Built) -> Result<(String, Value)>,
) -> Result<()> {
    let root = super::root()?;
    let environment = config::load(&root, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    let _lock = lock::share(&root, command)?;
    let docker = engine::connect().await?;
    let source = source::inspect(&root).await?;
    let mut results = Map::new();
    for unit in &units {
        let one = async {
            let build = async |step: &Step| {
                let _lock = lock::build(&root, step).await?;
                build(&docker, *unit, &source, step).await
            };
            work(&docker, *unit, printer.step("build").run(build).await?).await
        };
        let name = &unit.service.name;
        let (line, document) = if units.len() > 1 { ui::of_service(name, one).await? } else { one.await? };
        match options.report.output {
            Output::Text => printer.data(line),
            Output::Json if units.len() == 1 => printer.json(&document),
            Output::Json => drop(results.insert(name.clone(), document)),
        }
    }
    if options.report.output == Output::Json && units.len() > 1 {
        printer.json(&json!({"services": results}));
    }
    Ok(())
}

/// Builds the image, unless nothing changed.
pub(super) async fn build(docker: &Docker, unit: Unit<'_>, source: &Source, step: &Step) -> Result<Done<Built>> {
    let built = image::build(docker, unit, source, step).await?;
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
    let what = match &pushed.image {
        Reference::Pinned(_) => format!("{} of {total} layers sent", pushed.sent),
        Reference::Unpushed(_) => "not pushed: the nodes see this Docker's images".to_owned(),
    };
    Ok(Done::new(outcome, format!("{}, {what}", pushed.image.short()), pushed))
}
