//! Fields that a definition does not know are dropped.

use serde_json::Value;

/// What an embedded resource has whatever its schema says.
pub(super) const OWN: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unknown fields and returns their paths, sorted.
pub(super) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(schema, object, true, "", &mut unknown);
    unknown.sort();
    unknown
}

fn walk(schema: &Value, value: &mut Value, root: bool, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let whole = root || schema["x-kubernetes-embedded-resource"] == true;
            let keep = schema["x-kubernetes-preserve-unknown-fields"] == true;
            map.retain(|name, inner| {
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if whole && OWN.contains(&name.as_str()) {
                    return true;
                }
                if let Some(property) = schema["properties"].get(name) {
                    walk(property, inner, false, &at, unknown);
                    return true;
                }
                match &schema["additionalProperties"] {
                    additional @ Value::Object(_) => {
                        walk(additional, inner, false, &at, unknown);
                        true
                    }
                    Value::Bool(true) => true,
                    _ if keep => true,
                    _ => {
                        unknown.push(at);
                        false
                    }
                }
            });
        }
        Value::Array(items) if schema["items"].is_object() => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(&schema["items"], item, false, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}
