//! Fields that were left out get the definition's defaults. A null that may be none counts as left out.

use serde_json::Value;

/// Fills in defaults and drops nulls where the schema has no place for them.
pub(super) fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, inner| {
                let of = property(schema, name);
                !inner.is_null() || of.is_none_or(|of| nullable(of) || !of["default"].is_null())
            });
            for (name, of) in schema["properties"].as_object().into_iter().flatten() {
                let missing = map.get(name).is_none_or(|inner| inner.is_null() && !nullable(of));
                if missing && !of["default"].is_null() {
                    map.insert(name.clone(), of["default"].clone());
                }
            }
            for (name, inner) in map {
                if let Some(of) = property(schema, name) {
                    replace(of, inner);
                    complete(of, inner);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                replace(&schema["items"], item);
                complete(&schema["items"], item);
            }
        }
        _ => {}
    }
}

fn replace(schema: &Value, value: &mut Value) {
    if value.is_null() && !nullable(schema) && !schema["default"].is_null() {
        *value = schema["default"].clone();
    }
}

fn nullable(schema: &Value) -> bool {
    schema["nullable"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true && schema["type"].is_null()
}

/// The schema of a field.
pub(super) fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["properties"].get(name).or(Some(&schema["additionalProperties"]).filter(|of| of.is_object()))
}
