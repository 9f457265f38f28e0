//! Staged server-side apply of a plan: what others need comes first, and what is as it should be is left alone.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::{Client, api::Patch, runtime::wait};

use crate::{
    error::{Error, Result},
    plan::{Action, CONCURRENCY, Change, ObjectRef, Plan, Summary, apply_params, refused, request},
    ui::Step,
};

mod delete;
mod stage;

pub use delete::{Deleted, destroy};
pub use stage::Stage;

/// How long an object on its way out is waited for, and a new kind until it is served.
const SETTLE: Duration = Duration::from_secs(60);

/// What an apply did.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How many objects met which fate.
    pub summary: Summary,
    /// The objects that were created or changed, in the order of the plan.
    pub changed: Vec<ObjectRef>,
}

/// Makes the cluster what the plan says.
///
/// The stages follow each other; within one, objects are applied at once. A stage in which an object is refused is the
/// last: what later stages would have needed is not there. Running it again goes on from what is there.
///
/// # Errors
/// The API server refuses an object, or cannot be reached; the first of them, and how many there were.
pub async fn apply(client: &Client, plan: &Plan, step: &Step) -> Result<Applied> {
    let mut todo: Vec<(Stage, &Change)> = plan
        .changes
        .iter()
        .filter(|change| change.action != Action::Unchanged)
        .map(|change| (Stage::of(&change.object), change))
        .collect();
    // Stable: within a stage the order stays the plan's.
    todo.sort_by_key(|(stage, _)| *stage);
    let total = todo.len();
    let mut done = 0;
    for stage in todo.chunk_by(|(left, _), (right, _)| left == right) {
        step.update(format!("{done} of {total} applied"));
        let results: Vec<Result<()>> = stream::iter(stage)
            .map(|(_, change)| one(client, change, plan.force_conflicts))
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let (fine, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        done += fine.len();
        let others = failed.len().saturating_sub(1);
        if let Some(error) = failed.into_iter().find_map(Result::err) {
            return Err(match others {
                0 => error,
                others => error.cause(format!("{others} more objects were refused; correct this one first")),
            });
        }
    }
    let changed = plan.changes.iter().filter(|change| change.action != Action::Unchanged);
    Ok(Applied { summary: plan.summary(), changed: changed.map(|change| change.object.clone()).collect() })
}

async fn one(client: &Client, change: &Change, force: bool) -> Result<()> {
    let object = &change.object;
    let api = change.served.api(client, object.namespace.as_deref());
    if change.leaving {
        let gone = wait::await_condition(api.clone(), &object.name, is_gone());
        if tokio::time::timeout(SETTLE, gone).await.is_err() {
            return Err(Error::timed_out(format!(
                "apply {object}: the old one is still being deleted after {} s",
                SETTLE.as_secs()
            ))
            .hint("something holds its finalizers: kubectl get -o yaml shows them"));
        }
    }
    let (params, patch) = (apply_params(force), Patch::Apply(&change.desired));
    if let Err(error) = request::retry(|| api.patch(&object.name, &params, &patch)).await {
        return Err(refused(client, &change.written, &change.desired, object, "apply", &error).await);
    }
    if Stage::of(object) == Stage::Definitions {
        served(client, change).await?;
    }
    Ok(())
}

/// Waits until the API server serves the kinds of a CustomResourceDefinition.
async fn served(client: &Client, change: &Change) -> Result<()> {
    let api = change.served.api(client, None);
    let established = |definition: Option<&kube::api::DynamicObject>| {
        let conditions = definition.and_then(|definition| definition.data["status"]["conditions"].as_array());
        conditions.into_iter().flatten().any(|one| one["type"] == "Established" && one["status"] == "True")
    };
    let waited = wait::await_condition(api, &change.object.name, established);
    match tokio::time::timeout(SETTLE, waited).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::failed(format!("wait for {}", change.object)).source(&error)),
        Err(_) => {
            let seconds = SETTLE.as_secs();
            Err(Error::timed_out(format!("{} is not established after {seconds} s", change.object))
                .hint(format!("kubectl describe crd {}", change.object.name)))
        }
    }
}

fn is_gone() -> impl wait::Condition<kube::api::DynamicObject> {
    |object: Option<&kube::api::DynamicObject>| object.is_none()
}

#[cfg(test)]
mod tests;
