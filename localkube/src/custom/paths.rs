//! Paths of fields as errors name them, and what belongs together in two versions of an object.

use serde_json::Value;

use crate::status::{FieldError, FieldErrorKind};

/// An error at a path; the root has none.
pub(super) fn error(path: &str, kind: FieldErrorKind, message: impl Into<String>) -> FieldError {
    FieldError {
        path: if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() },
        kind,
        message: message.into(),
    }
}

/// The path of a field.
pub(super) fn field(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The item of an older list that an item of a newer one was: by its keys in a map list, in others by its place if
/// nothing says that places mean anything else.
pub(super) fn former<'a>(schema: &Value, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    if schema["x-kubernetes-list-type"] != "map" {
        return None;
    }
    let key = key(schema, item);
    old?.as_array()?.iter().find(|other| self::key(schema, other) == key)
}

/// What names an item of a map list.
pub(super) fn key(schema: &Value, item: &Value) -> Value {
    let names = schema["x-kubernetes-list-map-keys"].as_array();
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
}
