//! Who owns which field: `managedFields`, whose sets are tries of `f:field`, `k:{keys}`, `v:value` (KEP-555).

use serde_json::{Map, Value};

use super::{FIELD_MANAGER, diff, ownership};

/// What `kubectl apply` without `--server-side` calls itself.
pub(crate) const CLIENT_SIDE: &str = "kubectl-client-side-apply";

/// Whether applying `desired` would change nothing: our fields are those that it has, and their values are the same.
///
/// Says no when in doubt, for example where the server writes a quantity in another way.
pub(super) fn settled(live: &Value, desired: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    let entry = managers.into_iter().flatten().find(|entry| is_ours(entry));
    entry.is_some_and(|entry| {
        entry["apiVersion"] == desired["apiVersion"]
            && desired["apiVersion"] == live["apiVersion"]
            && is_same(&entry["fieldsV1"], desired, live, At::Object)
    })
}

/// Whether the field at this path is ours.
pub(crate) fn owns(live: &Value, path: &[&str]) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    managers
        .into_iter()
        .flatten()
        .filter(|entry| is_ours(entry))
        .any(|entry| path.iter().try_fold(&entry["fieldsV1"], |set, key| set.get(format!("f:{key}"))).is_some())
}

fn is_ours(entry: &Value) -> bool {
    entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply" && entry.get("subresource").is_none()
}

/// Whether a client-side `kubectl apply` has left its mark, which makes later removals nobody's.
pub(crate) fn is_client_side(entry: &Value) -> bool {
    entry["manager"] == CLIENT_SIDE && entry["operation"] == "Update" && entry.get("subresource").is_none()
}

/// Whether `kubectl apply` owns fields of the object by itself.
pub(super) fn has_client_side(live: &Value) -> bool {
    live["metadata"]["managedFields"].as_array().into_iter().flatten().any(is_client_side)
}

/// Where identity stands, which nobody owns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Object,
    Metadata,
    Elsewhere,
}

impl At {
    fn below(self, key: &str) -> Self {
        if self == Self::Object && key == "metadata" { Self::Metadata } else { Self::Elsewhere }
    }

    fn is_identity(self, key: &str) -> bool {
        match self {
            Self::Object => matches!(key, "apiVersion" | "kind"),
            Self::Metadata => matches!(key, "name" | "namespace"),
            Self::Elsewhere => false,
        }
    }
}

fn is_same(set: &Value, desired: &Value, live: &Value, place: At) -> bool {
    let Some(set) = set.as_object() else { return false };
    let owned = set.keys().filter(|key| *key != ".").count();
    if owned == 0 {
        return desired == live;
    }
    match desired {
        Value::Object(fields) => {
            let mut fields = fields.iter().filter(|(key, _)| !place.is_identity(key));
            let mut seen = 0;
            let all = fields.all(|(key, desired)| {
                seen += 1;
                let inner = set.get(&format!("f:{key}"));
                inner.is_some_and(|inner| is_same(inner, desired, &live[key], place.below(key)))
            });
            all && seen == owned
        }
        Value::Array(items) => {
            let live = live.as_array().map(Vec::as_slice).unwrap_or_default();
            let mut after = 0;
            let all = items.iter().all(|desired| {
                let Some((key, inner)) = set.iter().find(|(key, _)| picks(key, desired, true)) else { return false };
                let found = live.iter().enumerate().skip(after).find(|(_, live)| picks(key, live, false));
                let Some((at, live)) = found else { return false };
                after = at + 1;
                is_same(inner, desired, live, At::Elsewhere)
            });
            all && owned == items.len()
        }
        _ => false,
    }
}

/// Whether an element of a set names this item. Keys with defaults need not be written in what is applied.
fn picks(element: &str, item: &Value, defaulted: bool) -> bool {
    if let Some(value) = element.strip_prefix("v:") {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let keys = element.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Map<String, Value>>(keys).ok());
    keys.is_some_and(|keys| {
        keys.iter().all(|(key, value)| match item.get(key) {
            Some(found) => found == value,
            None => defaulted && item.is_object(),
        })
    })
}

/// Whether exactly the fields of `desired` are ours.
pub(super) fn has_all(live: &Value, desired: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    let entry = managers.into_iter().flatten().find(|entry| is_ours(entry));
    entry.is_some_and(|entry| {
        entry["apiVersion"] == desired["apiVersion"] && is_same(&entry["fieldsV1"], desired, desired, At::Object)
    })
}

/// Whether exactly the fields of `desired` are ours, and what it sets of content and metadata is nobody else's.
pub(super) fn owns_all(live: &Value, desired: &Value) -> bool {
    let paths: [&[&str]; 3] = [&["data"], &["metadata", "labels"], &["metadata", "annotations"]];
    has_all(live, desired) && !paths.iter().any(|path| owned_by_others(live, path))
}

/// What others than we own of an object, but for its status.
pub(super) fn of_others(live: &Value) -> impl Iterator<Item = &Value> {
    let managers = live["metadata"]["managedFields"].as_array();
    managers.into_iter().flatten().filter(|entry| !is_ours(entry) && entry["subresource"] != "status")
}

/// Whether an owner other than we has a field at or below this path.
fn owned_by_others(live: &Value, path: &[&str]) -> bool {
    of_others(live).any(|entry| {
        let mut at = &entry["fieldsV1"];
        for key in path {
            match at.get(format!("f:{key}")) {
                Some(inner) => at = inner,
                None => return false,
            }
        }
        true
    })
}

/// One set with the elements of both.
pub(crate) fn union(left: &mut Value, right: &Value) {
    let (Some(into), Some(from)) = (left.as_object_mut(), right.as_object()) else { return };
    // An empty set stands for the field itself.
    if into.is_empty() != from.is_empty() {
        into.insert(".".to_owned(), Value::Object(Map::new()));
    }
    for (key, inner) in from {
        match into.get_mut(key) {
            Some(present) => union(present, inner),
            None => drop(into.insert(key.clone(), inner.clone())),
        }
    }
}

/// The same managers after what client-side `kubectl apply` owned has become ours.
pub(crate) fn adopted(managers: &[Value]) -> Vec<Value> {
    let theirs: Vec<&Value> = managers.iter().filter(|entry| is_client_side(entry)).collect();
    let Some(first) = theirs.first() else { return managers.to_vec() };
    let ours = managers.iter().find(|entry| is_ours(entry));
    let mut entry = (*ours.unwrap_or(first)).clone();
    entry["manager"] = FIELD_MANAGER.into();
    entry["operation"] = "Apply".into();
    theirs.iter().for_each(|other| union(&mut entry["fieldsV1"], &other["fieldsV1"]));
    let rest = managers.iter().filter(|entry| !is_ours(entry) && !is_client_side(entry));
    rest.cloned().chain([entry]).collect()
}

/// The fields that go once what client-side `kubectl apply` owned is ours: applied by it, and in no manifest any more.
pub(super) fn orphaned(live: &Value, desired: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let managers = live["metadata"]["managedFields"].as_array();
    for entry in managers.into_iter().flatten().filter(|entry| is_client_side(entry)) {
        missing(&entry["fieldsV1"], desired, "", &mut found);
    }
    found.retain(|path| !path.contains(ownership::LAST_APPLIED));
    found
}

fn missing(set: &Value, desired: &Value, path: &str, found: &mut Vec<String>) {
    for (key, inner) in set.as_object().into_iter().flatten().filter(|(key, _)| *key != ".") {
        let (inside, path) = match key.strip_prefix("f:") {
            Some(field) => (desired.get(field), diff::join(path, field)),
            None => {
                let item = desired.as_array().and_then(|items| items.iter().find(|item| picks(key, item, true)));
                (item, format!("{path}[{}]", item_name(key)))
            }
        };
        match inside {
            Some(inside) => missing(inner, inside, &path, found),
            None => found.push(path),
        }
    }
}

/// `k:{"name":"app"}` is called `app`, as differences do.
fn item_name(element: &str) -> String {
    let (_, text) = element.split_once(':').unwrap_or(("", element));
    let keys: Option<Value> = serde_json::from_str(text).ok();
    keys.and_then(|keys| keys["name"].as_str().map(str::to_owned)).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests;
