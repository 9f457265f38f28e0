//! What differs between two objects, field by field, without what every write changes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Action, ownership};

/// Fields of metadata that say when and how something was written, not what.
const BOOKKEEPING: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Annotations that controllers and clients keep for themselves.
const ANNOTATIONS: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];

/// What stands for a secret value.
const HIDDEN: &str = "(hidden)";

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

/// Every field that differs, sorted by path; the values of Secrets are hidden.
pub(super) fn differences(live: &Value, planned: &Value) -> Vec<FieldDiff> {
    let (live, planned) = (essence(live), essence(planned));
    let mut found = Vec::new();
    compare("", Some(&live), Some(&planned), &mut found);
    if planned["kind"] == "Secret" {
        for field in &mut found {
            mask(field);
        }
    }
    found
}

/// The object without bookkeeping and status.
fn essence(object: &Value) -> Value {
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
            }),
        },
        (before, after) => {
            found.push(FieldDiff { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
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

fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key.to_owned(),
        (false, false) => format!("{path}.{key}"),
        (false, true) => format!("{path}['{key}']"),
    }
}

fn mask(field: &mut FieldDiff) {
    if !field.path.starts_with("data") && !field.path.starts_with("stringData") {
        return;
    }
    for value in [&mut field.before, &mut field.after].into_iter().flatten() {
        *value = match value {
            Value::Object(entries) => {
                let hidden = entries.keys().map(|key| (key.clone(), HIDDEN.into()));
                Value::Object(hidden.collect::<Map<_, _>>())
            }
            _ => HIDDEN.into(),
        };
    }
}
