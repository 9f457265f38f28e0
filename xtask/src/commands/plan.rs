//! `plan`: what a deploy would change.

use super::workload;
use crate::{
    cli::{Deploy, Output},
    config,
    error::Result,
    manifests, plan,
    ui::{Done, Outcome, Printer, Step},
};

/// Compares the manifests, with the image that runs now, with what is there.
pub(super) async fn run(options: Deploy, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let client = workload::client(&environment).await?;
    let image = workload::image(&client, &environment).await?;
    let objects = manifests::render(&environment, image.as_ref())?;
    let compare = async |step: &Step| {
        let plan = plan::plan(&client, &environment, &objects, options.force_conflicts, step).await?;
        let outcome = if plan.is_empty() { Outcome::Same } else { Outcome::Changed };
        Ok(Done::new(outcome, plan.summary().to_string(), plan))
    };
    let plan = printer.step("plan").run(compare).await?;
    match options.report.output {
        Output::Json => printer.json(&plan),
        Output::Text => plan.lines().iter().for_each(|line| printer.data(line)),
    }
    Ok(())
}
