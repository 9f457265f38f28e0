//! Strategic merge as kustomize does it: lists of the built-in kinds merge by key, what the patch names comes first.

use serde_json::{Map, Value};

/// Merges a patch into a value. False: the patch deletes it.
///
/// # Errors
/// The path of a directive that is not supported.
pub(super) fn strategic(value: &mut Value, patch: &Value, built_in: bool) -> Result<bool, String> {
    merge(value, patch, built_in, "")
}

fn merge(value: &mut Value, patch: &Value, built_in: bool, field: &str) -> Result<bool, String> {
    match patch {
        Value::Object(patch) => {
            match patch.get("$patch").and_then(Value::as_str) {
                Some("delete") => return Ok(false),
                Some("replace") => *value = Value::Object(Map::new()),
                Some("merge") | None => {}
                Some(other) => return Err(format!("$patch: {other}")),
            }
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let fields = value.as_object_mut().expect("made an object above");
            for (key, patch) in patch.iter().filter(|(key, _)| *key != "$patch") {
                if key.starts_with('$') {
                    return Err(key.clone());
                }
                if patch.is_null() {
                    fields.remove(key);
                    continue;
                }
                let present = fields.contains_key(key);
                let found = fields.entry(key.clone()).or_insert(Value::Null);
                if !merge(found, patch, built_in, key)? || (!present && found.is_null()) {
                    fields.remove(key);
                }
            }
        }
        Value::Array(items) => return list(value, items, built_in, field),
        scalar => *value = scalar.clone(),
    }
    Ok(true)
}

fn list(value: &mut Value, patch: &[Value], built_in: bool, field: &str) -> Result<bool, String> {
    let keys = if built_in { merge_keys(field, patch) } else { &[] };
    let replaces = |item: &Value| item["$patch"] == "replace" && item.as_object().is_some_and(|item| item.len() == 1);
    if keys.is_empty() || !value.is_array() || patch.iter().any(replaces) {
        let mut fresh = Vec::new();
        for item in patch.iter().filter(|item| !replaces(item)) {
            let mut made = Value::Null;
            if merge(&mut made, item, built_in, "")? {
                fresh.push(made);
            }
        }
        *value = Value::Array(fresh);
        return Ok(true);
    }
    let mut rest = std::mem::take(value.as_array_mut().expect("checked above"));
    let mut merged = Vec::new();
    for patch in patch {
        // A key that the patch leaves out is one that it does not distinguish by.
        let same = |item: &Value| keys.iter().all(|key| patch.get(key).is_none() || item.get(key) == patch.get(key));
        let mut item = rest.iter().position(same).map_or(Value::Null, |index| rest.remove(index));
        if merge(&mut item, patch, built_in, "")? {
            merged.push(item);
        }
    }
    merged.append(&mut rest);
    *value = Value::Array(merged);
    Ok(true)
}

/// The fields that tell the items of a built-in kind's list apart (`x-kubernetes-list-map-keys` and
/// `x-kubernetes-patch-merge-key` of the API's schemas); none: the list is replaced.
fn merge_keys(field: &str, items: &[Value]) -> &'static [&'static str] {
    let has = |key: &str| items.iter().any(|item| item.get(key).is_some());
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims"
        | "webhooks"
        | "secrets"
            if has("name") =>
        {
            &["name"]
        }
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "ports" if has("containerPort") => &["containerPort", "protocol"],
        "ports" if has("port") => &["port", "protocol"],
        "ownerReferences" => &["uid"],
        "conditions" => &["type"],
        _ => &[],
    }
}
