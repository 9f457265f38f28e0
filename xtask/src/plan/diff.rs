//! What differs between two objects, field by field, without what every write changes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Action,
    blame::{self, Writer},
    mask, ownership,
};
use crate::secrets;

/// Fields of metadata that say when and how something was written, not what.
const BOOKKEEPING: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Annotations that controllers and clients keep for themselves.
const ANNOTATIONS: [&str; 2] = [ownership::LAST_APPLIED, "deployment.kubernetes.io/revision"];

/// What secret values are sealed with while they are compared; fingerprints leave no process by this.
const SALT: &str = "difference";

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDiff {
    /// For example `spec.template.spec.containers[app].image`.
    pub path: String,
    /// Its value now; none if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value then; none if it goes away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Who wrote the value that is there, if that was asked for and somebody else did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Writer>,
}

impl FieldDiff {
    /// A field that goes without the server having said so.
    pub(super) fn gone(path: String, live: &Value) -> Self {
        let before = blame::at(live, &path).filter(|value| !value.is_object() && !value.is_array());
        let mut before = json!({ "value": before });
        let secret = live["kind"] == "Secret" && !path.starts_with("metadata");
        mask::hide(&mut before);
        let before = if secret { mask::HIDDEN.into() } else { before["value"].take() };
        Self { path, before: Some(before), after: None, by: None }
    }
}

/// What turns the live object into the planned one.
pub(super) fn action(live: &Value, planned: &Value) -> Action {
    let fields = differences(live, planned);
    // An apply that changes no value still makes fields ours, so that leaving them out later removes them.
    if fields.is_empty() && ownership::fields(live) == ownership::fields(planned) {
        return Action::Unchanged;
    }
    Action::Update { fields }
}

/// Every field that differs, sorted by path; what is secret is hidden, also where it differs.
pub(crate) fn differences(live: &Value, planned: &Value) -> Vec<FieldDiff> {
    let (live, planned) = (essence(live), essence(planned));
    if live == planned {
        return Vec::new();
    }
    hidden_differences(live, planned)
}

/// What applying this must change, as far as its own fields tell: without the server's defaults.
pub(super) fn wanted(live: &Value, desired: &Value) -> Vec<FieldDiff> {
    let (mut live, desired) = (essence(live), essence(desired));
    restrict(&mut live, &desired);
    hidden_differences(live, desired)
}

fn hidden_differences(mut live: Value, mut planned: Value) -> Vec<FieldDiff> {
    leave_differences(&mut live, &mut planned);
    mask::seal(&mut live, SALT);
    mask::seal(&mut planned, SALT);
    secrets::open(&mut live);
    secrets::open(&mut planned);
    let mut found = Vec::new();
    compare("", Some(&live), Some(&planned), &mut found);
    for value in found.iter_mut().flat_map(|field| [&mut field.before, &mut field.after]).flatten() {
        conceal(value);
    }
    found
}

/// Takes the fields out of both that are the same, which are most: looking for secrets in them takes long. What a field
/// is called, and what it belongs to, stays: it tells whether the value beside it is secret.
fn leave_differences(live: &mut Value, planned: &mut Value) {
    let (Value::Object(live), Value::Object(planned)) = (live, planned) else { return };
    live.retain(|key, value| match planned.get_mut(key) {
        Some(_) if matches!(key.as_str(), "kind" | "name") => true,
        Some(other) if value == other => planned.remove(key).is_none(),
        Some(other) => {
            leave_differences(value, other);
            true
        }
        None => true,
    });
}

fn conceal(value: &mut Value) {
    match value {
        Value::String(text) if mask::is_sealed(text) => *text = mask::conceal(text),
        Value::Array(items) => items.iter_mut().for_each(conceal),
        Value::Object(fields) => fields.values_mut().for_each(conceal),
        _ => {}
    }
}

/// A fingerprint of what was written into an object, whatever its status, whoever looked at it, and however many
/// replicas an autoscaler wants just now.
pub(super) fn state(live: &Value, scaled: bool, salt: &str) -> String {
    let mut essence = essence(live);
    if let Some(spec) = essence.get_mut("spec").and_then(Value::as_object_mut).filter(|_| scaled) {
        spec.remove("replicas");
    }
    mask::fingerprint(&essence.to_string(), salt)
}

/// Takes out of an object what the other one does not speak of.
fn restrict(object: &mut Value, to: &Value) {
    match (object, to) {
        (Value::Object(fields), Value::Object(to)) => {
            fields.retain(|key, _| to.contains_key(key));
            fields.iter_mut().for_each(|(key, value)| restrict(value, &to[key]));
        }
        (Value::Array(items), Value::Array(to)) if named(items).is_some() => {
            for item in items {
                let same = |other: &&Value| other.get("name") == item.get("name");
                if let Some(other) = to.iter().find(same) {
                    restrict(item, other);
                }
            }
        }
        (Value::Array(items), Value::Array(to)) if items.len() == to.len() => {
            items.iter_mut().zip(to).for_each(|(item, other)| restrict(item, other));
        }
        _ => {}
    }
}

/// The object without bookkeeping and status.
pub(super) fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        BOOKKEEPING.iter().for_each(|field| drop(metadata.remove(*field)));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            ANNOTATIONS.iter().for_each(|annotation| drop(annotations.remove(*annotation)));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldDiff>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                compare(&join(path, key), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => match (named(before), named(after)) {
            (Some(first), Some(second)) => {
                let names: std::collections::BTreeSet<&&str> = first.keys().chain(second.keys()).collect();
                for name in names {
                    let (before, after) = (first.get(*name).copied(), second.get(*name).copied());
                    compare(&format!("{path}[{name}]"), before, after, found);
                }
            }
            _ if before.len() == after.len() => {
                for (index, (before, after)) in before.iter().zip(after).enumerate() {
                    compare(&format!("{path}[{index}]"), Some(before), Some(after), found);
                }
            }
            _ => found.push(FieldDiff {
                path: path.to_owned(),
                before: Some(before.clone().into()),
                after: Some(after.clone().into()),
                by: None,
            }),
        },
        (before, after) => {
            found.push(FieldDiff { path: path.to_owned(), before: before.cloned(), after: after.cloned(), by: None });
        }
    }
}

/// The items by their names, if they all have one and no two the same: so an item that is put in front does not make
/// all the others look changed.
fn named(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let by_name: BTreeMap<&str, &Value> =
        items.iter().map(|item| Some((item["name"].as_str()?, item))).collect::<Option<_>>()?;
    (by_name.len() == items.len()).then_some(by_name)
}

pub(super) fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key.to_owned(),
        (false, false) => format!("{path}.{key}"),
        (false, true) => format!("{path}['{key}']"),
    }
}
