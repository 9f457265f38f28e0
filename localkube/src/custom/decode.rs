//! Request bodies into custom objects: unknown fields dropped and reported, defaults filled in.

use serde_json::Value;

use super::Custom;
use crate::{
    resource::Resource,
    schema::{
        Decoded, FieldValidation, Format, ParseError, Parsed, Wording, convert, json_kind, of_kind, parse_json,
        parse_yaml,
    },
    status::Status,
};

/// Reads a request body.
///
/// # Errors
/// 400 for a body that is none, and for unknown fields where they are refused.
pub(crate) fn decode(
    resource: &Resource,
    custom: &Custom,
    body: &[u8],
    format: Format,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let kind = &resource.kind;
    let no_kind = |ParseError(error)| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: \
             {error} ({})",
            String::from_utf8_lossy(&body[..body.len().min(30)])
        ))
    };
    let parsed = match format {
        Format::Json => parse_json(body).map_err(no_kind)?,
        Format::Yaml => parse_yaml(body).map_err(no_kind)?,
        Format::Protobuf => {
            let message = "the body of the request was in an unknown format - accepted media types include: \
                           application/json, application/yaml";
            return Err(Status::new(415, "UnsupportedMediaType", message));
        }
    };
    let Parsed { value: mut object, duplicates } = parsed;
    if !object.is_object() {
        return Err(no_kind(ParseError(format!("json: cannot unmarshal {} into Go value", json_kind(&object)))));
    }
    for (name, value) in [("apiVersion", resource.api_version()), ("kind", kind.clone())] {
        if object[name].as_str().is_none_or(str::is_empty) {
            object[name] = value.into();
        }
    }
    let unknown = unknown(resource, custom, &mut object);
    let warnings = unknown.and_then(|unknown| problems(&duplicates, &unknown, validation)).map_err(|why| {
        let (given, version) = (object["kind"].as_str().unwrap_or_default(), &resource.version);
        Status::bad_request(format!("{given} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    })?;
    let given = object["apiVersion"].as_str().unwrap_or_default();
    if given != resource.api_version() {
        let message = format!(
            "the API version in the data ({given}) does not match the expected API version ({})",
            resource.api_version()
        );
        return Err(Status { warnings, ..Status::bad_request(message) });
    }
    Ok(Decoded { object, warnings })
}

/// Brings an object into the form of a decoded one, and returns the paths of the unknown fields that it dropped.
///
/// # Errors
/// The words for metadata that is none.
pub(crate) fn unknown(resource: &Resource, custom: &Custom, object: &mut Value) -> Result<Vec<String>, String> {
    let same_version = object["apiVersion"] == resource.api_version().as_str();
    let mut unknown = metadata(object)?;
    // Nothing is known of another version's fields.
    unknown.extend(super::prune::prune(if same_version { &custom.openapi } else { &Value::Null }, object));
    if same_version && object["kind"] == resource.kind.as_str() {
        super::defaults::complete(&custom.openapi, object);
    }
    Ok(unknown)
}

/// What is said of an object's fields.
fn problems(duplicates: &[String], unknown: &[String], validation: FieldValidation) -> Result<Vec<String>, String> {
    let problems: Vec<String> = (duplicates.iter().map(|path| format!("duplicate field \"{path}\"")))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .collect();
    match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            Err(format!("strict decoding error: {}", problems.join(", ")))
        }
        FieldValidation::Warn => Ok(problems),
        _ => Ok(Vec::new()),
    }
}

/// The metadata is that of every kind, and goes through the same decoder.
fn metadata(object: &mut Value) -> Result<Vec<String>, String> {
    let Some(schema) = of_kind("v1", "ConfigMap") else { return Ok(Vec::new()) };
    let mut whole = serde_json::json!({"metadata": object["metadata"].take()});
    if whole["metadata"].is_null() {
        whole["metadata"] = serde_json::json!({});
    }
    let unknown = convert(schema, &mut whole, Wording::Json)?;
    object["metadata"] = whole["metadata"].take();
    Ok(unknown)
}
