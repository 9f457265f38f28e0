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
    custom,
    fields::{self, Manager},
    patch,
    resource::Resource,
    schema::{self, Schema},
    status::{FieldError, FieldErrorKind, Status},
};

const ATTEMPTS: usize = 64;

/// GET, PUT or PATCH of a Scale.
pub(super) async fn serve(call: &Call, verb: &str) -> Result<Response, Status> {
    if verb == "get" {
        let stored = read::found(call)?;
        let live = convert::shown(&call.resource, &stored);
        return respond::object(call, 200, scale_of(&call.resource, &live), &[]);
    }
    let kind = if verb == "update" { "UpdateOptions" } else { "PatchOptions" };
    let dry_run = options::dry_run(&call.query, kind)?;
    let manager = call.manager();
    for _ in 0..ATTEMPTS {
        let stored = read::found(call)?;
        let live = convert::shown(&call.resource, &stored);
        let mut shown = scale_of(&call.resource, &live);
        fields::scale::show(&live, &mut shown);
        let (scale, pinned) = if content_type(&call.headers) == "application/apply-patch+yaml" {
            (applied(call, &shown, &manager)?, false)
        } else {
            let mut scale = changed(call, verb, &shown)?;
            fields::track_update(scale_schema(), Some(&shown), &mut scale, by(&manager), Timestamp::now());
            let pinned = verb == "update" && !scale["metadata"]["resourceVersion"].is_null();
            (scale, pinned)
        };
        let mut object = scaled(call, &live, &scale)?;
        fields::scale::restore(&scale, &mut object);
        match write::replace(call, &stored, &live, object, Ownership::Applied, dry_run).await {
            Ok(object) => return respond::object(call, 200, scale_of(&call.resource, &object), &[]),
            Err(Refused::Status(status)) => return Err(status),
            Err(Refused::Raced) if pinned => break,
            Err(Refused::Raced) => {}
        }
    }
    Err(meta::modified(call, call.name.as_deref().unwrap_or_default()))
}

/// The schema of a Scale, which is one of the built-in kinds.
fn scale_schema() -> &'static Schema {
    schema::of_kind("autoscaling/v1", "Scale").unwrap_or_else(|| Schema::deduced())
}

fn by(manager: &str) -> Manager<'_> {
    Manager { name: manager, subresource: Some("scale"), api_version: "autoscaling/v1" }
}

/// The Scale that the request asks for.
fn changed(call: &Call, verb: &str, scale: &Value) -> Result<Value, Status> {
    let options_kind = if verb == "update" { "UpdateOptions" } else { "PatchOptions" };
    let validation = options::field_validation(&call.query, options_kind)?;
    let changed = if verb == "update" {
        let format = body_format(&call.headers)?;
        schema::decode_as(scale_schema(), "autoscaling/v1", "Scale", &call.body, format, validation)?.object
    } else {
        let kind = match content_type(&call.headers) {
            "application/json-patch+json" => patch::Kind::Json,
            "application/merge-patch+json" => patch::Kind::Merge,
            "application/strategic-merge-patch+json" => patch::Kind::Strategic,
            _ => {
                return Err(
                    Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(json!({}))
                );
            }
        };
        patch::apply(kind, scale_schema(), scale, &call.body, validation)?.object
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
    match call.resource.custom.as_ref().and_then(|custom| custom.scale.as_ref()) {
        Some(paths) => *custom::place(&mut object, &paths.spec) = replicas.into(),
        None => object["spec"]["replicas"] = replicas.into(),
    }
    match &scale["metadata"]["resourceVersion"] {
        Value::String(version) if !version.is_empty() => {
            object["metadata"]["resourceVersion"] = version.as_str().into();
        }
        _ => meta::remove(&mut object, "resourceVersion"),
    }
    Ok(object)
}

/// The Scale after a server-side apply.
fn applied(call: &Call, shown: &Value, manager: &str) -> Result<Value, Status> {
    if call.query.get("fieldManager").is_none() {
        let message = "Required value: is required for apply patch";
        return Err(options::invalid("PatchOptions", "fieldManager", FieldErrorKind::Required, message));
    }
    let configuration = schema::configuration(&call.body)?;
    let force = call.query.flag("force");
    fields::apply(scale_schema(), Some(shown), &configuration, by(manager), force, Timestamp::now())
}

/// The Scale of an object.
fn scale_of(resource: &Resource, object: &Value) -> Value {
    let paths = resource.custom.as_ref().and_then(|custom| custom.scale.as_ref());
    let number = |path: &str| custom::at(object, path).and_then(Value::as_i64);
    let wanted = number(paths.map_or(".spec.replicas", |paths| &paths.spec));
    let present = number(paths.map_or(".status.replicas", |paths| &paths.status));
    let metadata = &object["metadata"];
    let mut shown = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            shown[field] = value.clone();
        }
    }
    let spec = match wanted {
        Some(replicas) if replicas != 0 => json!({"replicas": replicas}),
        _ => json!({}),
    };
    let mut status = json!({"replicas": present.unwrap_or(0)});
    let selector = match paths {
        None => selector_text(&object["spec"]["selector"]),
        Some(paths) => {
            let path = paths.selector.as_deref().unwrap_or_default();
            custom::at(object, path).and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status})
}

/// A selector as the query of a list takes it.
pub(super) fn selector_text(selector: &Value) -> String {
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
