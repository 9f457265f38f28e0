//! Items of sets are there once, and so are the keys of map lists.

use serde_json::Value;

use super::{
    defaults::property,
    paths::{error, field, former, key},
};
use crate::status::{FieldError, FieldErrorKind};

/// Every item that is there twice; lists that are as they were are not asked again.
pub(super) fn duplicates(schema: &Value, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if old == Some(value) {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if let Some(of) = property(schema, name) {
                    duplicates(of, inner, old.and_then(|old| old.get(name)), &field(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            let name = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => Some(item.clone()),
                Some("map") => Some(key(schema, item)),
                _ => None,
            };
            let mut seen = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let at = format!("{path}[{index}]");
                if let Some(name) = name(item) {
                    if seen.contains(&name) {
                        errors.push(error(&at, FieldErrorKind::Duplicate, format!("Duplicate value: {name}")));
                    }
                    seen.push(name);
                }
                duplicates(&schema["items"], item, former(schema, old, item), &at, errors);
            }
        }
        _ => {}
    }
}
