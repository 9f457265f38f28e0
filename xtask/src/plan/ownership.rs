//! Which objects and which fields are ours.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, ObjectRef, request};
use crate::{config::Unit, error::Result, manifests::Object};

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Says which service of which environment an object belongs to; see [`id`].
pub const ID: &str = "slipway.dev/id";

/// Where client-side `kubectl apply` keeps what it applied.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The value of [`ID`]: `SERVICE.ENVIRONMENT`. Both are DNS labels; as a label takes 63 characters, a longer one keeps
/// its beginning and gets a hash.
pub fn id(unit: Unit<'_>) -> String {
    const LIMIT: usize = 63;
    let id = format!("{}.{}", unit.service.name, unit.environment.name);
    if id.len() <= LIMIT {
        return id;
    }
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&id));
    format!("{}-{}", &id[..LIMIT - 11], &hash[..10])
}

/// Whether a namespace is there and not on its way out.
pub(super) async fn namespace_is_there(client: &Client, name: &str) -> Result<bool> {
    let api: Api<Namespace> = Api::all(client.clone());
    let live = request::retry(|| api.get_metadata_opt(name)).await;
    let live = live.map_err(|error| request::failed(format!("look at namespace {name}"), &error))?;
    Ok(live.is_some_and(|live| live.metadata.deletion_timestamp.is_none()))
}

/// Marks an object as ours. Only the object: a label on its pods would restart them.
pub(crate) fn mark(object: &mut Value, id: &str) {
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels[MANAGED_BY] = FIELD_MANAGER.into();
    labels[ID] = id.into();
}

/// What our manager owns of an object, as `fieldsV1`.
pub(super) fn fields(object: &Value) -> Option<&Value> {
    let managers = object["metadata"]["managedFields"].as_array()?;
    let ours = managers.iter().find(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")?;
    ours.get("fieldsV1")
}

/// The workloads whose number of replicas a HorizontalPodAutoscaler of the set decides.
pub(super) fn autoscaled(objects: &[Object]) -> BTreeSet<ObjectRef> {
    let target = |object: &Object| {
        let target = &object.value()["spec"]["scaleTargetRef"];
        Some(ObjectRef {
            api_version: target["apiVersion"].as_str()?.to_owned(),
            kind: target["kind"].as_str()?.to_owned(),
            namespace: object.namespace().map(str::to_owned),
            name: target["name"].as_str()?.to_owned(),
        })
    };
    objects.iter().filter(|object| object.kind() == "HorizontalPodAutoscaler").filter_map(target).collect()
}

/// Leaves `spec.replicas` to the autoscaler.
///
/// As long as nobody but us owns the field, leaving it out would set it to its default, one, until the autoscaler
/// looks again: so the live number is sent until then.
pub(super) fn leave_replicas(desired: &mut Value, live: Option<&Value>) {
    let kept = live.filter(|live| fields(live).is_some_and(owns_replicas) && !others_own_replicas(live));
    let kept = kept.and_then(|live| live["spec"].get("replicas")).cloned();
    let Some(spec) = desired["spec"].as_object_mut() else { return };
    match kept {
        Some(replicas) => drop(spec.insert("replicas".into(), replicas)),
        None => drop(spec.remove("replicas")),
    }
}

fn owns_replicas(fields: &Value) -> bool {
    fields["f:spec"].get("f:replicas").is_some()
}

fn others_own_replicas(live: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    managers
        .into_iter()
        .flatten()
        .any(|entry| entry["manager"] != FIELD_MANAGER && entry.get("fieldsV1").is_some_and(owns_replicas))
}
