//! What an apply would change, as a value: every object is applied with `dryRun=All`, and the answer is compared with
//! what is there.
//!
//! What is planned differs from what is rendered in three ways. Objects get two labels, [`ownership::MANAGED_BY`] and
//! [`ownership::ID`], by which `destroy` finds them. Namespaced objects without a namespace get the environment's.
//! `replicas` leaves where a HorizontalPodAutoscaler owns it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::Environment,
    error::{Error, Result},
    manifests::Object,
    ui::Step,
};

mod diff;
mod fields;
pub mod ownership;
mod refusal;
pub(crate) mod request;
mod resources;
mod view;

pub use crate::manifests::ObjectRef;
pub use diff::FieldDiff;
pub(crate) use refusal::refused;
pub(crate) use resources::{Served, served};
pub use view::Summary;

/// The name under which the API server records what is ours (KEP-555).
pub const FIELD_MANAGER: &str = "slipway";

/// How many requests are under way at once.
pub(crate) const CONCURRENCY: usize = 32;

/// What would happen to each object, in the order in which they are rendered.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// One entry an object.
    pub changes: Vec<Change>,
    /// Whether fields of other managers are taken over.
    pub force_conflicts: bool,
}

/// What would happen to one object.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Which object.
    pub object: ObjectRef,
    /// What would happen.
    #[serde(flatten)]
    pub action: Action,
    /// How to reach it.
    #[serde(skip)]
    pub(crate) served: Served,
    /// What is sent; holds the values of Secrets, hence never shown.
    #[serde(skip)]
    pub(crate) desired: Value,
    /// Where it is written, for errors.
    #[serde(skip)]
    pub(crate) written: Object,
    /// An object of that name is on its way out and must be gone first.
    #[serde(skip)]
    pub(crate) leaving: bool,
}

/// What an apply does to an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// It is not there yet.
    Create,
    /// These fields change; none of them if only their ownership does.
    Update {
        /// Field by field, sorted by path.
        fields: Vec<FieldDiff>,
    },
    /// It is as it should be.
    Unchanged,
}

/// Asks the cluster what an apply of these objects would change. Changes nothing.
///
/// `force_conflicts` takes over the fields that another manager owns, which are an error otherwise.
///
/// # Errors
/// The API server refuses an object (unknown field, invalid value, a field of another manager), does not serve its
/// kind, or cannot be reached.
pub async fn plan(
    client: &Client,
    environment: &Environment,
    objects: &[Object],
    force_conflicts: bool,
    step: &Step,
) -> Result<Plan> {
    step.update(format!("comparing {} objects", objects.len()));
    let kinds = resources::discover(client, objects).await?;
    let scaled = ownership::autoscaled(objects);
    let mut prepared = Vec::new();
    for object in objects {
        let served = kinds.of(object)?;
        let mut desired = object.value().clone();
        let metadata = desired["metadata"].as_object_mut().ok_or_else(|| Error::usage("an object has no metadata"))?;
        if served.namespaced {
            metadata.entry("namespace").or_insert_with(|| environment.service.namespace.as_str().into());
        } else {
            metadata.remove("namespace");
        }
        ownership::mark(&mut desired, &ownership::id(environment));
        prepared.push(Prepared { written: object, served, desired });
    }
    let absent = absent_namespaces(client, &prepared).await?;
    let params = apply_params(force_conflicts);
    let context = Context { client, absent, scaled, params: PatchParams { dry_run: true, ..params } };
    let changes =
        stream::iter(prepared).map(|prepared| change(&context, prepared)).buffered(CONCURRENCY).try_collect().await?;
    Ok(Plan { changes, force_conflicts })
}

/// How often an object is looked at again when it changes between the look and the dry-run.
const ATTEMPTS: usize = 5;

/// What is the same for every object.
struct Context<'a> {
    client: &'a Client,
    absent: BTreeSet<String>,
    scaled: BTreeSet<ObjectRef>,
    params: PatchParams,
}

/// An object on its way to becoming a change.
struct Prepared<'objects> {
    written: &'objects Object,
    served: Served,
    desired: Value,
}

/// The namespaces of the objects that are not there, or are being deleted, and so take nothing.
async fn absent_namespaces(client: &Client, prepared: &[Prepared<'_>]) -> Result<BTreeSet<String>> {
    let named: BTreeMap<&str, &Prepared<'_>> = prepared
        .iter()
        .filter_map(|prepared| Some((prepared.desired["metadata"]["namespace"].as_str()?, prepared)))
        .collect();
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&()));
    let mut absent = BTreeSet::new();
    for (namespace, first) in named {
        let made = prepared.iter().any(|one| one.written.kind() == "Namespace" && one.written.name() == namespace);
        let live = request::retry(|| api.get_opt(namespace))
            .await
            .map_err(|error| request::failed(format!("look at namespace {namespace}"), &error))?;
        if live.is_some_and(|live| live.metadata.deletion_timestamp.is_none()) {
            continue;
        }
        if !made {
            let reference = first.written.reference();
            return Err(Error::failed(format!("plan {reference}: there is no namespace {namespace}"))
                .hint(format!("add a Namespace to the manifests, or: kubectl create namespace {namespace}")));
        }
        absent.insert(namespace.to_owned());
    }
    Ok(absent)
}

async fn change(context: &Context<'_>, prepared: Prepared<'_>) -> Result<Change> {
    let Context { client, absent, scaled, params } = context;
    let Prepared { written, served, mut desired } = prepared;
    let object =
        ObjectRef { namespace: desired["metadata"]["namespace"].as_str().map(str::to_owned), ..written.reference() };
    let homeless = object.namespace.as_ref().is_some_and(|namespace| absent.contains(namespace));
    let api = served.api(client, object.namespace.as_deref());
    let mut attempts = 0..ATTEMPTS;
    let (answer, live, leaving) = loop {
        let live = if homeless {
            None
        } else {
            let live = request::retry(|| api.get_opt(&object.name)).await;
            live.map_err(|error| request::failed(format!("look at {object}"), &error))?.map(to_value).transpose()?
        };
        let leaving = live.as_ref().is_some_and(|live| live["metadata"].get("deletionTimestamp").is_some());
        if scaled.contains(&object) {
            ownership::leave_replicas(&mut desired, live.as_ref());
        }
        let patch = Patch::Apply(&desired);
        let answer = request::retry(|| api.patch(&object.name, params, &patch)).await;
        // A dry-run keeps the resourceVersion: with another one, a controller wrote between our two requests, and its
        // change would be taken for ours.
        let moved = matches!((&answer, &live), (Ok(planned), Some(live))
            if planned.metadata.resource_version.as_deref() != live["metadata"]["resourceVersion"].as_str());
        if !moved || leaving || attempts.next().is_none() {
            break (answer, live, leaving);
        }
    };
    let action = match (answer, live.filter(|_| !leaving)) {
        (Ok(_), None) => Action::Create,
        (Ok(planned), Some(live)) => diff::action(&live, &to_value(planned)?),
        // What the server can say about an object without its namespace it has said: nothing is wrong with its form.
        (Err(kube::Error::Api(status)), None) if homeless && matches!(status.code, 403 | 404) => Action::Create,
        // It goes away between our requests.
        (Err(kube::Error::Api(status)), None) if leaving && status.code == 409 => Action::Create,
        // Its kind comes with the CustomResourceDefinition that is applied before it.
        (Err(kube::Error::Api(status)), None) if served.planned && status.code == 404 => Action::Create,
        (Err(error), _) => return Err(refused(client, written, &desired, &object, "plan", &error).await),
    };
    Ok(Change { object, action, served, desired, written: written.clone(), leaving })
}

/// Server-side apply as we do it: strict, and over what another manager owns only if that is asked for.
pub(crate) fn apply_params(force: bool) -> PatchParams {
    PatchParams { force, ..PatchParams::apply(FIELD_MANAGER).validation_strict() }
}

fn to_value(object: DynamicObject) -> Result<Value> {
    serde_json::to_value(object).map_err(|error| Error::failed("read the API server's answer").source(&error))
}

#[cfg(test)]
mod tests;
