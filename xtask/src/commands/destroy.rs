//! `destroy`: takes what a deploy made out of an environment.

use std::time::Duration;

use serde_json::json;

use super::lock;
use crate::{
    apply,
    cli::{Output, Reporting},
    cluster, config,
    error::Result,
    ui::{Done, Outcome, Printer, Step},
};

/// A namespace ends only after its pods' grace, which Kubernetes lets be as long as a manifest says.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Deletes the objects that carry the environment's id and waits until they are gone.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::take(&root, "destroy")?;
    let environment = config::load(&root, &options.target.env)?;
    let delete = async |step: &Step| {
        let Some(connection) = cluster::find(&environment).await? else {
            return Ok(Done::new(Outcome::Same, "the cluster does not run", Vec::new()));
        };
        let deleted = apply::destroy(&connection.client, &environment, TIMEOUT, step).await?.objects;
        for object in &deleted {
            step.detail(format!("- {object}"));
        }
        let outcome = if deleted.is_empty() { Outcome::Same } else { Outcome::Changed };
        Ok(Done::new(outcome, format!("{} deleted", deleted.len()), deleted))
    };
    let deleted = printer.step("destroy").run(delete).await?;
    if options.report.output == Output::Json {
        printer.json(&json!({"environment": environment.name, "deleted": deleted}));
    }
    Ok(())
}
