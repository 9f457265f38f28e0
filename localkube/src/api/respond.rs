//! Responses: objects in the representation that was asked for, failures as Status, warnings as headers.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    convert,
    negotiate::{Encoding, View, accept},
    request::Call,
    table,
};
use crate::{resource::Resource, status::Status, store::Stored};

/// A JSON response.
pub(super) fn json(code: u16, body: impl Into<Bytes>) -> Response {
    bytes(code, "application/json", body.into())
}

/// A plain text response.
pub(super) fn text(code: u16, body: impl Into<Bytes>) -> Response {
    bytes(code, "text/plain; charset=utf-8", body.into())
}

/// Nothing is served at this path.
pub(super) fn no_path() -> Response {
    let mut response = text(404, "404 page not found\n");
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// A failure.
pub(super) fn failure(status: &Status) -> Response {
    let mut response = json(status.code, status.to_value().to_string());
    status.warnings.iter().for_each(|warning| warn(&mut response, warning));
    let retry = status.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_i64());
    if let Some(seconds) = retry.filter(|seconds| *seconds > 0) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// One object as it is stored.
pub(super) fn stored(call: &Call, code: u16, object: &Stored) -> Result<Response, Status> {
    let representation = accept(&call.headers, false)?;
    if representation.encoding == Encoding::Json && representation.view == View::Object {
        return Ok(json(code, enveloped(&call.resource, object)));
    }
    self::object(call, code, convert::shown(&call.resource, object), &[])
}

/// One object with `apiVersion` and `kind`, and warnings about it.
pub(super) fn object(call: &Call, code: u16, object: Value, warnings: &[String]) -> Result<Response, Status> {
    let representation = accept(&call.headers, false)?;
    let body = match representation.view {
        View::Object => object,
        View::Table => table::of_objects(
            call,
            std::slice::from_ref(&object),
            json!({"resourceVersion": object["metadata"]["resourceVersion"]}),
        )?,
        View::Partial => partial(&object),
    };
    let mut response = encoded(code, representation.encoding, &body);
    warnings.iter().for_each(|warning| warn(&mut response, warning));
    Ok(response)
}

/// Adds a warning, which clients show to people.
pub(super) fn warn(response: &mut Response, warning: &str) {
    // Go's quoting: as JSON, except that it is ASCII-safe only for control characters; both fit a header.
    let quoted = format!("299 - {}", Value::from(warning));
    if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
        response.headers_mut().append(header::WARNING, value);
    }
}

/// The metadata alone, as `PartialObjectMetadata` shows it.
pub(super) fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A value in an encoding.
pub(super) fn encoded(code: u16, encoding: Encoding, value: &Value) -> Response {
    match encoding {
        Encoding::Json => json(code, value.to_string()),
        Encoding::Yaml => match serde_yaml::to_string(value) {
            Ok(text) => bytes(code, "application/yaml", text.into()),
            Err(error) => failure(&Status::internal(error.to_string())),
        },
    }
}

/// The JSON of an object with `kind` and `apiVersion`; most kinds need no parsing for it.
pub(super) fn enveloped(resource: &Resource, object: &Stored) -> Bytes {
    if convert::needed(resource) {
        return convert::shown(resource, object).to_string().into();
    }
    let mut text =
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", resource.kind, resource.api_version()).into_bytes();
    // Stored objects have metadata at least, so the brace is never followed by another.
    text.extend_from_slice(&object.json[1..]);
    text.into()
}

fn bytes(code: u16, media_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
