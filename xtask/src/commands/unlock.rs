//! `unlock`: takes a lock away from a command that is gone.

use super::workload;
use crate::{
    cli::Unlock,
    config::{self, State},
    error::Result,
    release::{self, Keeper},
    ui::Printer,
};

/// Removes the lock with this id.
pub(super) async fn run(options: Unlock, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let whose = match &environment.state {
        State::S3(bucket) => release::unlock(Keeper::Bucket(bucket), environment.units(), &options.id).await?,
        State::Cluster => {
            let client = workload::client(&environment).await?;
            release::unlock(Keeper::Cluster(&client), environment.units(), &options.id).await?
        }
    };
    printer.words(format!("removed the lock of {whose}; if it still runs, it stops before it changes anything more"));
    Ok(())
}
