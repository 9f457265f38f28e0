//! One object is made what the plan says.

use std::{borrow::Cow, time::Duration};

use kube::{
    Client,
    api::{DeleteParams, DynamicObject, Preconditions},
    runtime::wait,
};

use super::{Stage, adopt};
use crate::{
    error::{Error, Result},
    plan::{
        Action, Change, Configs, ObjectRef, apply_params,
        mask::Known,
        refused, request, scrubbed,
        wire::{Place, Written},
    },
};

/// How long an object on its way out is waited for, and a new kind until it is served.
const SETTLE: Duration = Duration::from_secs(60);

/// Applies it and returns its UID.
pub(super) async fn apply(
    client: &Client,
    change: &Change,
    configs: &Configs,
    force: bool,
) -> Result<(ObjectRef, String)> {
    let object = &change.object;
    if matches!(change.action, Action::Replace { .. }) {
        delete(client, change).await?;
    }
    if change.leaving || matches!(change.action, Action::Replace { .. }) {
        gone(client, change).await?;
    }
    let place = Place { client, served: &change.served, namespace: object.namespace.as_deref() };
    if change.adopts {
        adopt::adopt(place, object).await?;
    }
    let mut desired = Cow::Borrowed(&change.desired);
    if Configs::awaited(&change.desired) {
        configs.annotate(desired.to_mut(), object.namespace.as_deref());
    }
    let answer = place.apply::<Written>(&object.name, &apply_params(force), &desired).await;
    let written = match answer {
        Ok(written) => written,
        Err(error) => return Err(refusal(client, change, &error).await),
    };
    if Stage::of(object) == Stage::Definitions {
        served(client, change).await?;
    }
    Ok((object.clone(), written.metadata.uid))
}

async fn refusal(client: &Client, change: &Change, error: &kube::Error) -> Error {
    let object = &change.object;
    let error = match &change.written {
        Some(written) => refused(client, written, &change.desired, object, "apply", error).await,
        None => request::failed(format!("apply {object}"), error),
    };
    scrubbed(error, &Known::of(&change.desired))
}

/// Deletes what is replaced, and no other object that has taken its name since.
async fn delete(client: &Client, change: &Change) -> Result<()> {
    let object = &change.object;
    let uid = change.live.as_ref().map(|live| live.uid.clone());
    // The pods of a StatefulSet keep their names, so the old ones must be gone; others are replaced while they serve.
    let params = match object.kind.as_str() {
        "StatefulSet" => DeleteParams::foreground(),
        _ => DeleteParams::background(),
    };
    let params = params.preconditions(Preconditions { uid, resource_version: None });
    let api = change.served.api(client, object.namespace.as_deref());
    match request::found(request::retry(|| api.delete(&object.name, &params)).await) {
        Ok(_) => Ok(()),
        Err(error) => Err(request::failed(format!("replace {object}"), &error)),
    }
}

async fn gone(client: &Client, change: &Change) -> Result<()> {
    let object = &change.object;
    let api = change.served.api(client, object.namespace.as_deref());
    // The same name may be taken again at once: what matters is that this object is gone.
    let old = change.live.as_ref().map(|live| live.uid.clone());
    let is_gone = move |found: Option<&DynamicObject>| match (found, &old) {
        (None, _) => true,
        (Some(found), Some(old)) => found.metadata.uid.as_ref() != Some(old),
        (Some(found), None) => found.metadata.deletion_timestamp.is_none(),
    };
    let waited = wait::await_condition(api, &object.name, is_gone);
    match tokio::time::timeout(SETTLE, waited).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::failed(format!("wait until the old {object} is gone")).source(&error)),
        Err(_) => Err(Error::timed_out(format!(
            "apply {object}: the old one is still being deleted after {} s",
            SETTLE.as_secs()
        ))
        .hint("something holds its finalizers: kubectl get -o yaml shows them")),
    }
}

/// Waits until the API server serves the kinds of a CustomResourceDefinition.
async fn served(client: &Client, change: &Change) -> Result<()> {
    let api = change.served.api(client, None);
    let established = |definition: Option<&DynamicObject>| {
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
