//! Who wrote a field, as `managedFields` tell it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Action, FIELD_MANAGER};

/// Who wrote something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// The name of the field manager, for example `kubectl-edit`.
    pub manager: String,
    /// When, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

impl fmt::Display for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.time {
            Some(time) => write!(formatter, "{} at {time}", self.manager),
            None => formatter.write_str(&self.manager),
        }
    }
}

/// Adds to each field who wrote the value that is there.
pub(super) fn add(action: &mut Action, live: &Value) {
    if let Action::Update { fields } | Action::Replace { fields } = action {
        for field in fields {
            field.by = writer(live, &field.path);
        }
    }
}

/// Who wrote a field last; for one that was removed, who wrote the object last.
pub(crate) fn writer(live: &Value, path: &str) -> Option<Writer> {
    let steps = steps(path);
    let others = || {
        let managers = live["metadata"]["managedFields"].as_array();
        managers.into_iter().flatten().filter(|entry| entry["manager"] != FIELD_MANAGER)
    };
    let time = |entry: &&Value| entry["time"].as_str().unwrap_or_default().to_owned();
    let owner = others().filter(|entry| has(&entry["fieldsV1"], &steps)).max_by_key(time);
    let last = || others().filter(|entry| entry.get("subresource").is_none()).max_by_key(time);
    let entry = owner.or_else(|| at(live, path).is_none().then(last).flatten())?;
    let text = |field: &str| entry[field].as_str().map(str::to_owned);
    Some(Writer { manager: text("manager")?, time: text("time") })
}

/// Who wrote an object last, other than its status.
pub(super) fn last(live: &Value) -> Option<Writer> {
    let managers = live["metadata"]["managedFields"].as_array();
    let written = managers.into_iter().flatten().filter(|entry| entry.get("subresource").is_none());
    let entry = written.max_by_key(|entry| entry["time"].as_str().unwrap_or_default())?;
    let text = |field: &str| entry[field].as_str().map(str::to_owned);
    Some(Writer { manager: text("manager")?, time: text("time") })
}

/// The value at a path.
pub(super) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path).into_iter().try_fold(object, |at, step| match step {
        Step::Field(field) => at.get(field),
        Step::Item(item) => match item.parse::<usize>() {
            Ok(index) => at.get(index),
            Err(_) => at.as_array()?.iter().find(|found| is_named(found, item)),
        },
    })
}

fn is_named(item: &Value, name: &str) -> bool {
    item["name"] == name || item.as_str() == Some(name)
}

/// One step of a path as differences write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Field(&'a str),
    Item(&'a str),
}

/// `spec.containers[app].labels['a.b/c']`
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = if let Some(inside) = rest.strip_prefix("['") {
            let (field, after) = inside.split_once("']").unwrap_or((inside, ""));
            (Step::Field(field), after)
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (item, after) = inside.split_once(']').unwrap_or((inside, ""));
            (Step::Item(item), after)
        } else {
            let (field, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            (Step::Field(field), after)
        };
        found.push(step);
        rest = after.trim_start_matches('.');
    }
    found
}

/// Whether a set holds the field, something in it, or what it is a part of.
fn has(set: &Value, steps: &[Step<'_>]) -> bool {
    let Some(fields) = set.as_object() else { return false };
    let Some((first, rest)) = steps.split_first() else { return true };
    if fields.keys().all(|key| key == ".") {
        return !fields.is_empty() || !steps.is_empty();
    }
    match first {
        Step::Field(field) => set.get(format!("f:{field}")).is_some_and(|inner| has(inner, rest)),
        Step::Item(item) => fields.iter().any(|(key, inner)| {
            let keys = key.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Value>(keys).ok());
            // An item without a name is only known by its place, which sets do not tell.
            let fits = keys.is_some_and(|keys| keys.get("name").is_none_or(|name| name == item));
            fits && has(inner, rest)
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_writer_of_a_field_is_named() {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields});
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}});
        let note = json!({"f:metadata": {"f:annotations": {"f:a.b/c": {}}}});
        let live = json!({"metadata": {"annotations": {"a.b/c": "1"}, "managedFields": [
            entry("slipway", "2026-01-09T00:00:00Z", json!({"f:spec": {"f:replicas": {}}})),
            entry("old", "2026-01-01T00:00:00Z", image.clone()),
            entry("kubectl-edit", "2026-01-02T00:00:00Z", image),
            entry("noter", "2026-01-03T00:00:00Z", note),
        ]}, "spec": {"replicas": 1, "containers": [{"name": "app", "image": "x"}]}});
        let by = |path: &str| writer(&live, path).map(|writer| writer.to_string());
        assert_eq!(by("spec.containers[app].image").as_deref(), Some("kubectl-edit at 2026-01-02T00:00:00Z"));
        assert_eq!(by("metadata.annotations['a.b/c']").as_deref(), Some("noter at 2026-01-03T00:00:00Z"));
        assert_eq!(by("spec.replicas"), None, "it is ours");
        assert_eq!(by("spec.gone").as_deref(), Some("noter at 2026-01-03T00:00:00Z"), "somebody removed it");
    }
}
