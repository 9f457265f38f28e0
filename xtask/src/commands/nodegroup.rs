//! `nodegroup`: the nodes of the EKS cluster of an environment.

use super::{
    cluster::{eks_of, holding, load},
    interrupt::Interrupt,
    lock,
};
use crate::{
    cli::{Disband, Nodegroup, NodegroupCommand, Output, Renew, Reporting, Scale},
    cluster::eks,
    error::Result,
    ui::{Done, Outcome, Printer, Step},
};

/// Runs a verb of `nodegroup`.
pub(super) async fn run(options: Nodegroup, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    match options.command {
        NodegroupCommand::List(options) => list(&options, printer).await,
        NodegroupCommand::Scale(options) => scale(&options, printer, interrupt).await,
        NodegroupCommand::Upgrade(options) => renew(&options, printer, interrupt).await,
        NodegroupCommand::Delete(options) => delete(&options, printer, interrupt).await,
    }
}

async fn list(options: &Reporting, printer: &Printer) -> Result<()> {
    let environment = load(&super::root()?, &options.target)?;
    let groups = Box::pin(eks::nodegroups(eks_of(&environment)?)).await?;
    if options.report.output == Output::Json {
        printer.json(&groups);
        return Ok(());
    }
    for group in &groups {
        let size = format!("{} of {}..{}", group.desired, group.min, group.max);
        printer.data(format!("{:<24} {:<10} {size:<12} {}", group.name, group.status, group.instance_types.join(", ")));
        group.issues.iter().for_each(|issue| printer.data(format!("  {issue}")));
    }
    Ok(())
}

async fn scale(options: &Scale, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "nodegroup scale")?;
    let environment = load(&root, &options.target)?;
    let eks = eks_of(&environment)?;
    let scale = async |step: &Step| {
        let outcome = Box::pin(eks::scale(&environment, eks, &options.name, options.nodes, step)).await?;
        Ok(Done::new(outcome, format!("{}: {} nodes", options.name, options.nodes), ()))
    };
    holding(&environment, "nodegroup scale", printer, interrupt, printer.step("nodegroup").run(scale)).await
}

async fn renew(options: &Renew, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "nodegroup upgrade")?;
    let environment = load(&root, &options.target)?;
    let eks = eks_of(&environment)?;
    let renew = async |step: &Step| {
        let image = options.image.as_deref();
        let done = Box::pin(eks::renew(&environment, eks, &options.name, image, options.force, step)).await?;
        Ok(Done::new(done.0, format!("{}: image {}", options.name, done.1), ()))
    };
    holding(&environment, "nodegroup upgrade", printer, interrupt, printer.step("nodegroup").run(renew)).await
}

async fn delete(options: &Disband, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::share(&root, "nodegroup delete")?;
    let environment = load(&root, &options.target)?;
    let eks = eks_of(&environment)?;
    let delete = async |step: &Step| {
        let outcome = Box::pin(eks::delete(&environment, eks, &options.name, options.force, step)).await?;
        let summary = if outcome == Outcome::Same { "is not there" } else { "removed" };
        Ok(Done::new(outcome, format!("{} {summary}", options.name), ()))
    };
    holding(&environment, "nodegroup delete", printer, interrupt, printer.step("nodegroup").run(delete)).await
}
