//! Takes everything of an environment out of the cluster: what carries its id, the last applied first.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Preconditions},
    runtime::wait,
};

use super::Stage;
use crate::{
    config::Environment,
    error::{Error, Result},
    plan::{CONCURRENCY, ObjectRef, Served, ownership, request, served},
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

/// Deletes every object that carries the environment's id, and waits until they are gone.
///
/// A namespace goes only if it carries the id itself, that is, if a deploy made it or took it over.
///
/// # Errors
/// The API server refuses, or an object is still there at the deadline ([`crate::error::Kind::TimedOut`]).
pub async fn destroy(client: &Client, environment: &Environment, timeout: Duration, step: &Step) -> Result<Deleted> {
    let deadline = Instant::now() + timeout;
    step.update("looking for what is ours");
    let mut doomed = find(client, &ownership::id(environment)).await?;
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

async fn find(client: &Client, id: &str) -> Result<Vec<Doomed>> {
    let kinds = everything_served(client).await?;
    let selector = ListParams::default().labels(&format!("{}={id}", ownership::ID));
    let lists: Vec<Vec<Doomed>> = stream::iter(kinds)
        .map(|served| {
            let selector = &selector;
            async move {
                let api = served.api(client, None);
                let answer = request::found(request::retry(|| api.list(selector)).await);
                let list = request::words(format!("list {}", served.resource.plural), answer)?;
                let items = list.map(|list| list.items).unwrap_or_default();
                Ok::<_, Error>(items.into_iter().filter_map(|item| doomed(client, &served, &item)).collect())
            }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
}

fn doomed(client: &Client, served: &Served, item: &DynamicObject) -> Option<Doomed> {
    // Controllers copy labels to what they make; that goes with its owner.
    if item.owner_references().iter().any(|owner| owner.controller == Some(true)) {
        return None;
    }
    let object = ObjectRef {
        api_version: served.resource.api_version.clone(),
        kind: served.resource.kind.clone(),
        namespace: item.namespace(),
        name: item.name_any(),
    };
    let api = served.api(client, object.namespace.as_deref());
    Some(Doomed { object, uid: item.uid()?, api })
}

/// Every kind that can be listed and deleted, each in one version.
async fn everything_served(client: &Client) -> Result<Vec<Served>> {
    let groups = request::retry(|| client.list_api_groups()).await;
    let groups = request::words("ask the cluster for its API groups", groups)?;
    let mut versions = vec!["v1".to_owned()];
    versions.extend(groups.groups.into_iter().filter_map(|group| {
        let preferred = group.preferred_version.or_else(|| group.versions.first().cloned())?;
        Some(preferred.group_version)
    }));
    let lists: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move { served(client, &version).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    // Endpoints mirror the labels of their Service without naming it as their owner; events pass by themselves.
    let ours = |served: &Served| {
        !matches!(served.resource.kind.as_str(), "Endpoints" | "Event")
            && ["list", "delete"].iter().all(|verb| served.verbs.iter().any(|found| found == verb))
    };
    Ok(lists.into_iter().flatten().filter(ours).collect())
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
