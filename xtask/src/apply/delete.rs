//! Takes everything of an environment out of the cluster: what carries its id, the last applied first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Preconditions},
    runtime::wait,
};

use super::Stage;
use crate::{
    config::Unit,
    error::{Error, Result},
    plan::{
        self, Action, CONCURRENCY, ObjectRef, Plan, ownership, request,
        search::{self, Places},
    },
    ui::Step,
};

/// How often the number of objects still there is shown anew.
const REPORT: Duration = Duration::from_millis(250);

/// What a destroy removed.
#[derive(Debug, Clone, Default)]
pub struct Deleted {
    /// The objects that are gone, in the order in which they went.
    pub objects: Vec<ObjectRef>,
}

/// An object to be removed.
struct Doomed {
    object: ObjectRef,
    uid: String,
    api: Api<DynamicObject>,
}

/// Deletes what the plan deletes, and waits until it is gone; for when everything else is ready.
///
/// # Errors
/// As of [`destroy`].
pub async fn prune(client: &Client, plan: &Plan, timeout: Duration, step: &Step) -> Result<Deleted> {
    let doomed = plan.changes.iter().filter(|change| change.action == Action::Delete);
    let doomed = doomed.filter_map(|change| {
        let api = change.served.api(client, change.object.namespace.as_deref());
        Some(Doomed { object: change.object.clone(), uid: change.live.as_ref()?.uid.clone(), api })
    });
    delete_all(doomed.collect(), timeout, step).await
}

/// Deletes every object that carries the environment's id, and waits until they are gone.
///
/// A namespace goes only if it carries the id itself, that is, if a deploy made it or took it over.
///
/// # Errors
/// The API server refuses, or an object is still there at the deadline ([`crate::error::Kind::TimedOut`]).
pub async fn destroy(client: &Client, unit: Unit<'_>, timeout: Duration, step: &Step) -> Result<Deleted> {
    step.update("looking for what is ours");
    let places = Places { namespaces: BTreeSet::from([unit.service.namespace.clone()]), except: BTreeMap::default() };
    let kinds = plan::discover(client).await?;
    let found = search::ours(client, &kinds, &ownership::id(unit), &places, step).await?;
    let doomed = found.into_iter().map(|found| Doomed { api: found.api(client), object: found.object, uid: found.uid });
    delete_all(doomed.collect(), timeout, step).await
}

/// The last stage first.
async fn delete_all(mut doomed: Vec<Doomed>, timeout: Duration, step: &Step) -> Result<Deleted> {
    let deadline = Instant::now() + timeout;
    doomed.sort_by(|left, right| {
        Stage::of(&right.object).cmp(&Stage::of(&left.object)).then(left.object.cmp(&right.object))
    });
    let mut deleted = Deleted::default();
    for stage in doomed.chunk_by(|left, right| Stage::of(&left.object) == Stage::of(&right.object)) {
        step.update(format!("{} of {} objects are gone", deleted.objects.len(), doomed.len()));
        stream::iter(stage).map(Ok).try_for_each_concurrent(CONCURRENCY, delete).await?;
        gone(stage, deadline, timeout, |left| {
            let done = deleted.objects.len() + stage.len() - left;
            step.update(format!("{done} of {} objects are gone, {} to go", doomed.len(), names(stage)));
        })
        .await?;
        deleted.objects.extend(stage.iter().map(|doomed| doomed.object.clone()));
    }
    Ok(deleted)
}

async fn delete(doomed: &Doomed) -> Result<()> {
    // Of what another one of the same name has become since, nothing is deleted.
    let params = DeleteParams::background()
        .preconditions(Preconditions { uid: Some(doomed.uid.clone()), resource_version: None });
    match request::found(request::retry(|| doomed.api.delete(&doomed.object.name, &params)).await) {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(request::failed(format!("delete {}", doomed.object), &error)),
    }
}

async fn gone(stage: &[Doomed], deadline: Instant, timeout: Duration, report: impl Fn(usize)) -> Result<()> {
    let waits = stage.iter().map(|doomed| async move {
        let condition = wait::conditions::is_deleted(&doomed.uid);
        let waited = wait::await_condition(doomed.api.clone(), &doomed.object.name, condition).await;
        waited.map_err(|error| Error::failed(format!("wait until {} is gone", doomed.object)).source(&error))
    });
    let mut waits: stream::FuturesUnordered<_> = waits.collect();
    let mut ticks = tokio::time::interval(REPORT);
    loop {
        tokio::select! {
            done = waits.next() => match done {
                Some(done) => drop(done?),
                None => return Ok(()),
            },
            _ = ticks.tick() => report(waits.len()),
            () = tokio::time::sleep_until(deadline.into()) => break,
        }
    }
    let mut left = Vec::new();
    for doomed in stage {
        let live = request::found(doomed.api.get(&doomed.object.name).await).unwrap_or_default();
        if let Some(live) = live.filter(|live| live.uid().as_ref() == Some(&doomed.uid)) {
            let finalizers = live.finalizers().join(", ");
            let held = if finalizers.is_empty() { String::new() } else { format!(", held by {finalizers}") };
            left.push(format!("{}{held}", doomed.object));
        }
    }
    let error = Error::timed_out(format!("{} objects are still there after {} s", left.len(), timeout.as_secs()));
    Err(left.into_iter().fold(error, Error::cause).hint("run the same command again: it goes on from what is left"))
}

/// Up to three names of a stage, for progress.
fn names(stage: &[Doomed]) -> String {
    let shown: Vec<String> = stage.iter().take(3).map(|doomed| doomed.object.to_string()).collect();
    let more = stage.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
