//! The scale subresource: one view of the number of replicas for every kind that has one.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    convert, meta,
    negotiate::{body_format, content_type},
    options, read,
    request::Call,
    respond,
    write::{self, Ownership, Refused},
};
use crate::{
    fields::{self, Manager},
    patch,
    schema::{self, Format},
    status::{FieldError, FieldErrorKind, Status},
};

const ATTEMPTS: usize = 64;

/// GET, PUT or PATCH of a Scale.
pub(super) async fn serve(call: &Call, verb: &str) -> Result<Response, Status> {
    if verb == "get" {
        let stored = read::found(call)?;
        return respond::object(call, 200, scale_of(&convert::shown(&call.resource, &stored)), &[]);
    }
    let kind = if verb == "update" { "UpdateOptions" } else { "PatchOptions" };
    let dry_run = options::dry_run(&call.query, kind)?;
    let manager = call.manager();
    for _ in 0..ATTEMPTS {
        let stored = read::found(call)?;
        let live = convert::shown(&call.resource, &stored);
        let (object, ownership, pinned) = if content_type(&call.headers) == "application/apply-patch+yaml" {
            (applied(call, &live, &manager)?, Ownership::Applied, false)
        } else {
            let scale = changed(call, verb, &live)?;
            let pinned = verb == "update" && !scale["metadata"]["resourceVersion"].is_null();
            (scaled(call, &live, &scale)?, Ownership::Track(manager.as_str()), pinned)
        };
        match write::replace(call, &stored, &live, object, ownership, dry_run).await {
            Ok(object) => return respond::object(call, 200, scale_of(&object), &[]),
            Err(Refused::Status(status)) => return Err(status),
            Err(Refused::Raced) if pinned => break,
            Err(Refused::Raced) => {}
        }
    }
    Err(meta::modified(call, call.name.as_deref().unwrap_or_default()))
}

/// The Scale that the request asks for.
fn changed(call: &Call, verb: &str, live: &Value) -> Result<Value, Status> {
    let scale = scale_of(live);
    let changed = if verb == "update" {
        match body_format(&call.headers)? {
            Format::Json => {
                serde_json::from_slice(&call.body).map_err(|error| Status::bad_request(error.to_string()))?
            }
            Format::Yaml => {
                serde_yaml::from_slice(&call.body).map_err(|error| Status::bad_request(error.to_string()))?
            }
        }
    } else {
        match content_type(&call.headers) {
            "application/json-patch+json" => patch::json(&scale, &call.body)?,
            // No list of a Scale has a merge key, so both kinds of merge do the same.
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                patch::merge(&scale, &call.body)?
            }
            _ => {
                return Err(
                    Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(json!({}))
                );
            }
        }
    };
    let name = changed["metadata"]["name"].as_str().unwrap_or_default();
    let expected = call.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != expected {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({expected})");
        return Err(Status::bad_request(message));
    }
    Ok(changed)
}

/// The object with the Scale's number of replicas.
fn scaled(call: &Call, live: &Value, scale: &Value) -> Result<Value, Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let error = FieldError {
            path: "spec.replicas".to_owned(),
            kind: FieldErrorKind::Invalid,
            message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
        };
        let name = call.name.as_deref().unwrap_or_default();
        return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
    }
    let mut object = live.clone();
    object["spec"]["replicas"] = replicas.into();
    match &scale["metadata"]["resourceVersion"] {
        Value::String(version) if !version.is_empty() => {
            object["metadata"]["resourceVersion"] = version.as_str().into()
        }
        _ => meta::remove(&mut object, "resourceVersion"),
    }
    Ok(object)
}

/// Server-side apply of a Scale is one of the number of replicas to the object.
fn applied(call: &Call, live: &Value, manager: &str) -> Result<Value, Status> {
    if call.query.get("fieldManager").is_none() {
        let message = "Required value: is required for apply patch";
        return Err(options::invalid("PatchOptions", "fieldManager", FieldErrorKind::Required, message));
    }
    let scale: Value = serde_yaml::from_slice(&call.body)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let configuration = json!({
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"]},
        "spec": {"replicas": scale["spec"]["replicas"]},
    });
    let schema = schema::of(&call.resource).ok_or_else(|| Status::internal("the kind has no schema"))?;
    let api_version = call.resource.api_version();
    let manager = Manager { name: manager, subresource: Some("scale"), api_version: &api_version };
    fields::apply(schema, Some(live), &configuration, manager, call.query.flag("force"), Timestamp::now())
}

/// The Scale of an object.
fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut shown = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        if let Some(value) = metadata.get(field) {
            shown[field] = value.clone();
        }
    }
    let spec = match object["spec"]["replicas"].as_i64() {
        Some(replicas) if replicas != 0 => json!({"replicas": replicas}),
        _ => json!({}),
    };
    let mut status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)});
    let selector = selector_text(&object["spec"]["selector"]);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status})
}

/// A selector as the query of a list takes it.
fn selector_text(selector: &Value) -> String {
    let labels = if selector["matchLabels"].is_object() { &selector["matchLabels"] } else { selector };
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        terms.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort_unstable();
    terms.join(",")
}
