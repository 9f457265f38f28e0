//! Staged server-side apply of a plan: what others need comes first, and what is as it should be is left alone.
//!
//! [`prepare`] takes the stages up to Services, [`finish`] the workloads and what follows; between them run the hooks
//! that need the first and must precede the second. [`prune`] comes last, when what is new has proved itself.

use futures::{FutureExt as _, StreamExt as _, stream};
use kube::Client;

use crate::{
    error::{Error, Result},
    plan::{Action, CONCURRENCY, Change, Configs, ObjectRef, Plan, Summary},
    ui::Step,
};

mod adopt;
mod delete;
mod object;
mod stage;

pub use delete::{Deleted, destroy, prune};
pub use stage::Stage;

/// What an apply did.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How many objects meet which fate by the plan.
    pub summary: Summary,
    /// The objects that were created or changed, by stages, in the plan's order.
    pub changed: Vec<ObjectRef>,
    /// What pods read, with what has been made of it.
    configs: Configs,
}

/// Both halves: everything but the deletions.
///
/// # Errors
/// As of the halves.
pub async fn apply(client: &Client, plan: &Plan, step: &Step) -> Result<Applied> {
    let prepared = prepare(client, plan, step).await?;
    finish(client, plan, prepared, step).await
}

/// Makes what workloads need: definitions, namespaces, policies, configuration and Services.
///
/// The stages follow each other; within one, objects are applied at once. A stage in which an object is refused is the
/// last: what later stages would have needed is not there. Running it again goes on from what is there.
///
/// # Errors
/// The API server refuses an object, or cannot be reached; the first of them, and how many there were.
pub async fn prepare(client: &Client, plan: &Plan, step: &Step) -> Result<Applied> {
    let mut applied = Applied { summary: plan.summary(), changed: Vec::new(), configs: plan.configs.clone() };
    stages(client, plan, &mut applied, |stage| stage <= Stage::Services, step).await?;
    Ok(applied)
}

/// Makes the workloads and what refers to them what the plan says, after [`prepare`].
///
/// # Errors
/// As of [`prepare`].
pub async fn finish(client: &Client, plan: &Plan, prepared: Applied, step: &Step) -> Result<Applied> {
    let mut applied = prepared;
    stages(client, plan, &mut applied, |stage| stage > Stage::Services, step).await?;
    Ok(applied)
}

async fn stages(
    client: &Client,
    plan: &Plan,
    applied: &mut Applied,
    which: impl Fn(Stage) -> bool,
    step: &Step,
) -> Result<()> {
    let mut todo: Vec<(Stage, &Change)> = plan
        .changes
        .iter()
        .filter(|change| !matches!(change.action, Action::Unchanged | Action::Delete))
        .map(|change| (Stage::of(&change.object), change))
        .filter(|(stage, _)| which(*stage))
        .collect();
    // Stable: within a stage the order stays the plan's.
    todo.sort_by_key(|(stage, _)| *stage);
    let total = todo.len();
    let mut done = 0;
    for stage in todo.chunk_by(|(left, _), (right, _)| left == right) {
        step.update(format!("{done} of {total} applied"));
        let configs = &applied.configs;
        let mut results: Vec<(usize, Result<(ObjectRef, String)>)> = stream::iter(stage)
            .enumerate()
            .map(|(at, (_, change))| {
                object::apply(client, change, configs, plan.take_ownership).map(move |result| (at, result))
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        results.sort_by_key(|(at, _)| *at);
        let results = results.into_iter().map(|(_, result)| result);
        let (fine, failed): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
        done += fine.len();
        for (object, uid) in fine.into_iter().flatten() {
            applied.configs.made(&object, uid);
            applied.changed.push(object);
        }
        let others = failed.len().saturating_sub(1);
        if let Some(error) = failed.into_iter().find_map(Result::err) {
            return Err(match others {
                0 => error,
                others => Error::cause(error, format!("{others} more objects were refused; correct this one first")),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
