//! JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch, with the API server's own answers to bad ones.
//!
//! [`apply`] is the whole way of a patch request: it reads the body, patches the live object and decodes the result as
//! a request body is decoded. Server-side apply is no patch of this kind; see [`crate::fields`].

mod json;
mod strategic;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::{
    schema::{Decoded, FieldValidation, ParseError, Schema, Wording, convert, json_kind, parse_json},
    status::{FieldError, FieldErrorKind, Status},
};

/// The kinds of patch that are no apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// application/json-patch+json
    Json,
    /// application/merge-patch+json
    Merge,
    /// application/strategic-merge-patch+json
    Strategic,
}

/// Patches the live object with a request body and decodes the result.
///
/// # Errors
/// 400 for a body that is no patch, 422 for a patch that does not fit the object or makes it one that does not fit its
/// kind, 500 where the API server answers so to a strategic merge patch that its directives contradict.
pub fn apply(
    kind: Kind,
    schema: &Schema,
    live: &Value,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    apply_as(kind, schema, live, body, validation, |object, wording| convert(schema, object, wording))
}

/// The same with another decoder, which returns the paths of the unknown fields that it dropped.
pub(crate) fn apply_as(
    kind: Kind,
    schema: &Schema,
    live: &Value,
    body: &[u8],
    validation: FieldValidation,
    decode: impl FnOnce(&mut Value, Wording) -> Result<Vec<String>, String>,
) -> Result<Decoded, Status> {
    let (mut object, shown, wording, duplicates) = match kind {
        Kind::Json => {
            let (patched, duplicates) = json::apply(live, body)?;
            (patched.clone(), Shown::Patched(patched), Wording::Json, duplicates)
        }
        Kind::Merge => {
            let (patch, duplicates) = read(body, "error decoding patch: ")?;
            let patched = merged(live, &patch);
            (patched.clone(), Shown::Patched(patched), Wording::Json, duplicates)
        }
        Kind::Strategic => {
            let (patch, duplicates) = read(body, "")?;
            let patched = strategic::apply(schema, live, &patch)?;
            (patched, Shown::Patch(patch), Wording::Unstructured, duplicates)
        }
    };
    let refused = |error: &str| invalid(&shown.text(live), error);
    let unknown = decode(&mut object, wording).map_err(|error| refused(&error))?;
    let problems: Vec<String> = (duplicates.iter().map(|path| format!("duplicate field \"{path}\"")))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .collect();
    match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            Err(refused(&format!("strict decoding error: {}", problems.join(", "))))
        }
        FieldValidation::Warn => Ok(Decoded { object, warnings: problems }),
        _ => Ok(Decoded { object, warnings: Vec::new() }),
    }
}

/// Applies an RFC 6902 patch.
///
/// # Errors
/// 400 for a patch that is not one, 422 for one that does not fit the object.
pub fn json(live: &Value, patch: &[u8]) -> Result<Value, Status> {
    json::apply(live, patch).map(|(object, _)| object)
}

/// Applies an RFC 7386 merge patch.
///
/// # Errors
/// 400 for a body that is not a JSON object.
pub fn merge(live: &Value, patch: &[u8]) -> Result<Value, Status> {
    let (patch, _) = read(patch, "error decoding patch: ")?;
    Ok(merged(live, &patch))
}

/// Applies a strategic merge patch with the merge keys of the schema.
///
/// # Errors
/// 400 or 500 as the API server answers them.
pub fn strategic(schema: &Schema, live: &Value, patch: &[u8]) -> Result<Value, Status> {
    let (patch, _) = read(patch, "")?;
    strategic::apply(schema, live, &patch)
}

/// Reads a patch that is an object, and its duplicate fields.
fn read(body: &[u8], prefix: &str) -> Result<(Value, Vec<String>), Status> {
    let refused = |error: &str| Status::bad_request(format!("{prefix}{error}"));
    let parsed = parse_json(body).map_err(|ParseError(error)| refused(&error))?;
    match parsed.value {
        Value::Object(_) => Ok((parsed.value, parsed.duplicates)),
        Value::Null => Ok((Value::Object(Map::new()), Vec::new())),
        other => Err(refused(&format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_kind(&other)
        ))),
    }
}

/// RFC 7386, section 2.
fn merged(live: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut object = live.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            object.remove(name);
        } else {
            let merged = merged(object.get(name).unwrap_or(&Value::Null), value);
            object.insert(name.clone(), merged);
        }
    }
    Value::Object(object)
}

/// What a refusal of the patched object quotes.
enum Shown {
    /// The patched object.
    Patched(Value),
    /// The patch, as Go prints a map.
    Patch(Value),
}

impl Shown {
    fn text(&self, live: &Value) -> String {
        match self {
            Self::Patch(patch) => go_format(patch),
            Self::Patched(object) => quoted(object, live),
        }
    }
}

/// The patched object as the API server's encoder has it: metadata in the order of its Go struct where the patch did
/// not touch it, everything else sorted.
fn quoted(object: &Value, live: &Value) -> String {
    const METADATA: [&str; 15] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    const MANAGED: [&str; 7] = ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    fn ordered(map: &Map<String, Value>, names: &[&str], show: impl Fn(&str, &Value) -> String) -> String {
        let known = names.iter().filter_map(|name| map.get(*name).map(|value| (*name, value)));
        let rest = map.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        let fields: Vec<String> = known
            .chain(rest.map(|(name, value)| (name.as_str(), value)))
            .map(|(name, value)| format!("{}:{}", Value::from(name), show(name, value)))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
    let Value::Object(map) = object else { return object.to_string() };
    ordered(map, &[], |name, value| match value {
        Value::Object(metadata) if name == "metadata" && live.get(name) == Some(value) => {
            ordered(metadata, &METADATA, |name, value| match value {
                Value::Array(entries) if name == "managedFields" => {
                    let entries: Vec<String> = entries
                        .iter()
                        .filter_map(Value::as_object)
                        .map(|entry| ordered(entry, &MANAGED, |_, value| value.to_string()))
                        .collect();
                    format!("[{}]", entries.join(","))
                }
                other => other.to_string(),
            })
        }
        other => other.to_string(),
    })
}

/// A value as Go's `%v` prints it.
pub(crate) fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_format).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_format(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// 422 about the patch itself, which names no object.
fn invalid(shown: &str, error: &str) -> Status {
    let field = FieldError {
        path: "patch".to_owned(),
        kind: FieldErrorKind::Invalid,
        message: format!("Invalid value: {}: {error}", Value::from(shown)),
    };
    let mut status = Status::invalid("", "", "", &[field]);
    if let Some(Value::Object(details)) = &mut status.details {
        details.retain(|name, _| name == "causes");
    }
    status
}
