//! `destroy`: takes what a deploy made out of an environment.

use std::time::Duration;

use serde_json::json;

use super::{interrupt::Interrupt, lock, session::Session};
use crate::{
    apply,
    cli::{Output, Reporting},
    cluster,
    config::{self, Environment, Unit},
    error::Result,
    manifests::ObjectRef,
    release::Ledger,
    ui::{self, Done, Outcome, Printer, Step},
};

/// A namespace ends only after its pods' grace, which Kubernetes lets be as long as a manifest says.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Deletes the objects that carry the environment's id, waits until they are gone, and removes the records of them.
pub(super) async fn run(options: Reporting, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "destroy")?;
    let environment = config::load(&root, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    let session = Session::new(printer, &environment, units.clone(), interrupt, "destroy", None).await;
    let result = take_out(&session, interrupt, &units).await;
    session.close().await;
    let (deleted, removed) = result?;
    if options.report.output == Output::Json {
        printer.json(&json!({"environment": environment.name, "deleted": deleted, "removed": removed}));
    }
    Ok(())
}

/// First the objects, then the cluster if it is ours. Says what went of both.
async fn take_out(
    session: &Session<'_>,
    interrupt: &Interrupt,
    units: &[Unit<'_>],
) -> Result<(Vec<ObjectRef>, Vec<String>)> {
    let Session { environment, printer, .. } = session;
    let (mut deleted, mut removed) = (Vec::new(), Vec::new());
    interrupt.guard(session.early()).await?;
    if cluster::find(environment).await?.is_none() {
        printer.step("destroy").end(Outcome::Same, "the cluster does not run");
    } else {
        destroy(session, interrupt, units, &mut deleted).await?;
    }
    // With one service gone of several the cluster has others to run.
    if let (config::Cluster::Eks(eks), true) = (&environment.cluster, units.len() == environment.services.len()) {
        removed = session.guard(units[0], super::cluster::remove(environment, eks, printer)).await?;
        let stays = stays(environment);
        if !stays.is_empty() {
            printer.words(format!("\nwhat was pushed and recorded stays: {}", stays.join(", ")));
        }
    }
    Ok((deleted, removed))
}

async fn destroy(
    session: &Session<'_>,
    interrupt: &Interrupt,
    units: &[Unit<'_>],
    all: &mut Vec<ObjectRef>,
) -> Result<()> {
    interrupt.guard(session.locked()).await?;
    // What needs others goes before them.
    for unit in config::in_order(units).into_iter().rev() {
        let delete = async |step: &Step| {
            let client = &session.cluster().await?.client;
            let deleted = apply::destroy(client, unit, TIMEOUT, step).await?.objects;
            deleted.iter().for_each(|object| step.detail(format!("- {object}")));
            let records = Ledger::open(client, unit).await?.remove().await?;
            let outcome = if deleted.is_empty() && records == 0 { Outcome::Same } else { Outcome::Changed };
            Ok(Done::new(outcome, format!("{} deleted, and {records} records of releases", deleted.len()), deleted))
        };
        let run = session.guard(unit, session.printer.step("destroy").run(delete));
        let deleted = match units.len() {
            1 => run.await?,
            _ => ui::of_service(&unit.service.name, run).await?,
        };
        all.extend(deleted);
    }
    Ok(())
}

/// What of the environment on AWS outlives its cluster.
fn stays(environment: &Environment) -> Vec<String> {
    let mut stays = Vec::new();
    if let config::Registry::Ecr(ecr) = &environment.registry {
        let repository = |service: &config::Service| ecr.repository.replace(config::SERVICE, &service.name);
        stays.extend(environment.services.iter().map(|service| format!("ECR repository {}", repository(service))));
    }
    if let config::State::S3(state) = &environment.state {
        stays.push(format!("bucket {}", state.bucket));
    }
    stays
}
