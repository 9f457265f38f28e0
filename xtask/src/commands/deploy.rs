//! `deploy`: from source to a verified release.

use crate::{
    cli::Reporting,
    cluster,
    error::Result,
    ui::{Done, Outcome, Printer, Step},
};

use super::{lock, preflight};

/// Runs the whole pipeline.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let _lock = lock::take(&root, "deploy")?;
    let look = async |_: &Step| {
        let (environment, summary) = preflight::look(&root, &options.target.env).await.check()?;
        Ok(Done::new(Outcome::Ok, summary, environment))
    };
    let environment = printer.step("preflight").run(look).await?;
    let connect = async |step: &Step| {
        let connection = cluster::connect(&environment, step).await?;
        Ok(Done::new(connection.outcome, connection.description.clone(), connection))
    };
    printer.step("cluster").run(connect).await?;
    Ok(())
}
