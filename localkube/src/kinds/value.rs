//! Reading and completing JSON objects: an absent field, `null` and (for text) the empty string are the same, as they
//! are for the server's own types.

use serde_json::{Map, Value};

/// The text of a field, empty when there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The whole number of a field.
pub(super) fn int(value: &Value, key: &str) -> Option<i64> {
    value[key].as_i64()
}

/// Whether a field is there and true.
pub(super) fn is_true(value: &Value, key: &str) -> bool {
    value[key] == Value::Bool(true)
}

/// Whether a field is there.
pub(super) fn has(value: &Value, key: &str) -> bool {
    !value[key].is_null()
}

/// The items of a list, none when there is no list.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The items of a list, to change them.
pub(super) fn items_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The entries of a map, in the order of their keys.
pub(super) fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flatten()
}

/// A nested object to change, when it is there.
pub(super) fn part<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    value.get_mut(key).filter(|part| part.is_object())
}

/// A nested object to change; it is made when it is missing.
pub(super) fn make<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value[key].is_object() {
        value[key] = Value::Object(Map::new());
    }
    &mut value[key]
}

/// Sets a field that is missing or `null`.
pub(super) fn default(value: &mut Value, key: &str, fallback: impl Into<Value>) {
    if value.is_object() && value[key].is_null() {
        value[key] = fallback.into();
    }
}

/// Sets a field that is missing or the zero value of its type.
pub(super) fn default_nonzero(value: &mut Value, key: &str, fallback: impl Into<Value>) {
    let zero = match &value[key] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if zero && value.is_object() {
        value[key] = fallback.into();
    }
}

/// Takes a field out.
pub(super) fn remove(value: &mut Value, key: &str) -> Option<Value> {
    value.as_object_mut().and_then(|object| object.remove(key))
}

/// Makes a field what it is in another object, also when that means absent.
pub(super) fn restore(value: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(part) => value[key] = part.clone(),
        None => {
            remove(value, key);
        }
    }
}

/// The names of the nested objects of an object.
pub(super) fn part_names(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flatten().filter(|(_, part)| part.is_object()).map(|(name, _)| name.as_str())
}
