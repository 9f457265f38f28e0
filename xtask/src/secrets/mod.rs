//! Kubernetes Secrets whose values AWS keeps.
//!
//! What is rendered, planned, saved and recorded of such a Secret is an annotation that says where each value is from,
//! in which version. The values themselves are fetched by these versions just before they are sent, and nothing keeps
//! them but the cluster. While a version stays, so does the value that is there.

mod store;

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use self::store::Store;
use crate::{
    config::{SecretOrigin, Unit},
    error::{Error, Result},
    manifests::{self, Object},
    plan::{Plan, managers},
    ui::{Done, Outcome, Step},
};

/// The annotation: the origin of each key as JSON.
pub(crate) const ORIGINS: &str = "slipway.dev/values-from";

/// What is planned in the place of a value that is not there yet.
const LATER: &str = "known after apply";

/// Adds the Secrets of a service, each value in the version that the configuration names or that is current.
///
/// # Errors
/// AWS does not know a secret or a parameter, or refuses to tell of it; a manifest makes the same Secret.
pub(crate) async fn add(unit: Unit<'_>, objects: &mut Vec<Object>) -> Result<()> {
    let Some(first) = unit.service.secrets.first() else { return Ok(()) };
    let values = unit.service.secrets.iter().flat_map(|source| &source.values);
    let current = Store::connect(&first.aws).await?.current(values.map(|value| &value.from)).await?;
    let written = unit.environment.file.strip_prefix(&unit.environment.root).unwrap_or(&unit.environment.file);
    for source in &unit.service.secrets {
        let origins = source.values.iter().map(|value| (value.key.as_str(), current.of(&value.from)));
        let origins: BTreeMap<&str, SecretOrigin> = origins.collect();
        let value = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": source.name,
                "namespace": unit.service.namespace,
                "annotations": {ORIGINS: json!(origins).to_string()},
            },
            "type": "Opaque",
        });
        let made = Object::recorded(value, &written.display().to_string());
        let twin = objects.iter().find(|object| {
            let namespace = object.namespace().unwrap_or(&unit.service.namespace);
            object.kind() == "Secret" && object.name() == source.name && namespace == unit.service.namespace
        });
        if let Some(twin) = twin {
            return Err(Error::usage(format!("{} is made by `secrets`, and by a manifest", made.reference()))
                .cause(twin.position())
                .hint("take it out of one of them"));
        }
        manifests::insert(objects, made);
    }
    Ok(())
}

/// Where the values of a Secret are from, if AWS keeps them.
pub(crate) fn annotation(object: &Value) -> Option<&str> {
    let of_secret = object["kind"] == "Secret" && object["apiVersion"] == "v1";
    object["metadata"]["annotations"][ORIGINS].as_str().filter(|_| of_secret)
}

fn origins(object: &Value) -> Option<BTreeMap<String, SecretOrigin>> {
    serde_json::from_str(annotation(object)?).ok()
}

/// Makes a tree of the annotation, so that what differs in it is one version, not a line of JSON.
pub(crate) fn open(object: &mut Value) {
    let pointer = format!("/metadata/annotations/{}", ORIGINS.replace('/', "~1"));
    let Some(text) = object.pointer_mut(&pointer) else { return };
    if let Some(tree) = text.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        *text = tree;
    }
}

/// Puts into a Secret that is planned what is there already: values of the same origin and version that are still ours.
pub(crate) fn keep(desired: &mut Value, live: Option<&Value>) {
    let Some(wanted) = origins(desired) else { return };
    let there = live.and_then(origins).unwrap_or_default();
    let value = |(key, origin): (String, SecretOrigin)| {
        let same = |live: &&Value| there.get(&key) == Some(&origin) && managers::owns(live, &["data", &key]);
        let kept = live.filter(same).and_then(|live| live["data"][&key].as_str());
        let value = kept.map_or_else(later, str::to_owned);
        (key, value.into())
    };
    desired["data"] = wanted.into_iter().map(value).collect::<Map<_, _>>().into();
}

fn later() -> String {
    BASE64_STANDARD.encode(LATER)
}

/// The values that an object lacks.
fn missing(desired: &Value) -> Vec<(String, SecretOrigin)> {
    let later = later();
    let lacks = |(key, _): &(String, SecretOrigin)| desired["data"][key] == later;
    origins(desired).into_iter().flatten().filter(lacks).collect()
}

/// Whether applying the plan takes values that are not in the cluster.
pub(crate) fn are_missing(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| !missing(&change.desired).is_empty())
}

/// The plan with the values that it lacks. It must not be shown or kept.
///
/// # Errors
/// AWS does not have a value in its version any more, or refuses it.
pub(crate) async fn fetch(unit: Unit<'_>, plan: &Plan, step: &Step) -> Result<Done<Plan>> {
    let Some(aws) = &unit.environment.aws else {
        return Err(Error::usage("fetch the values of Secrets: the environment names no account of AWS")
            .hint("name the account and the region in the section `aws`"));
    };
    let store = Store::connect(aws).await?;
    let mut plan = plan.clone();
    let mut count = 0;
    for change in &mut plan.changes {
        for (key, origin) in missing(&change.desired) {
            step.update(format!("fetching {key} of {}", change.object));
            let value = store.value(&origin).await;
            let value = value.map_err(|error| error.cause(format!("it is {key} of {}", change.object)))?;
            change.desired["data"][&key] = value.reveal().into();
            count += 1;
        }
    }
    let plural = if count == 1 { "" } else { "s" };
    Ok(Done::new(Outcome::Ok, format!("{count} value{plural} fetched from AWS"), plan))
}

#[cfg(test)]
mod tests;
