//! `plan`: what a deploy would change.

use serde_json::json;

use super::workload;
use crate::{
    cli::{Deploy, Output},
    cluster,
    config::{self, Environment},
    error::{Error, Result},
    manifests::{self, Object},
    plan,
    ui::{Done, Outcome, Printer, Step},
};

/// Compares the manifests, with the image that runs now, with what is there. Starts nothing.
pub(super) async fn run(options: Deploy, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let Some(connection) = cluster::find(&environment).await? else {
        return from_nothing(&environment, &options, printer);
    };
    let client = connection.client;
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

/// Where no cluster has been yet, a deploy makes it and then everything.
fn from_nothing(environment: &Environment, options: &Deploy, printer: &Printer) -> Result<()> {
    if cluster::keeps_state(environment) {
        return Err(Error::failed(format!("the cluster of {} does not run", environment.name))
            .cause("it keeps what was deployed before, which cannot be compared while it is stopped")
            .hint("start it: cargo xtask local up"));
    }
    let objects = manifests::render(environment, None)?;
    let step = printer.step("plan");
    step.end(Outcome::Changed, format!("a cluster and {} objects created", objects.len()));
    match options.report.output {
        Output::Json => {
            let create = |object: &Object| json!({"object": object.reference(), "action": "create"});
            let changes: Vec<_> = objects.iter().map(create).collect();
            printer.json(&json!({"changes": changes, "force_conflicts": options.force_conflicts}));
        }
        Output::Text => objects.iter().for_each(|object| printer.data(format!("+ {}", object.reference()))),
    }
    Ok(())
}
