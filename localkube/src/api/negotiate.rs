//! Which representation a client asked for with Accept, and what it sent with Content-Type.

use http::{HeaderMap, header};
use serde_json::Value;

use super::request::Call;
use crate::status::Status;

/// What the API server names as its representations. Protobuf is offered in words but never chosen: every client that
/// asks for it also takes JSON.
const REPRESENTATIONS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How the response's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Yaml,
}

/// What is shown of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Object,
    Table,
    Partial,
}

/// The representation of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Representation {
    pub(super) encoding: Encoding,
    pub(super) view: View,
}

/// One range of an Accept header.
struct Range<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Range<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// Chooses the representation of objects.
///
/// # Errors
/// 406 where the client takes none that there is.
pub(super) fn accept(headers: &HeaderMap, list: bool) -> Result<Representation, Status> {
    let text = accept_text(headers);
    let mut known_type = false;
    for range in ranges(&text) {
        let encoding = match range.media_type {
            "" | "*/*" | "application/*" | "application/json" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            PROTOBUF => {
                known_type = true;
                continue;
            }
            _ => continue,
        };
        known_type = true;
        let v1 = range.parameter("g") == Some("meta.k8s.io") && range.parameter("v") == Some("v1");
        let view = match range.parameter("as") {
            None => View::Object,
            Some("Table") if v1 => View::Table,
            Some("PartialObjectMetadata") if v1 && !list => View::Partial,
            Some("PartialObjectMetadataList") if v1 && list => View::Partial,
            Some(_) => continue,
        };
        return Ok(Representation { encoding, view });
    }
    if known_type {
        let message = format!("only the following media types are accepted: {REPRESENTATIONS}");
        return Err(Status::new(406, "NotAcceptable", message));
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {REPRESENTATIONS}");
    Err(Status::new(406, "NotAcceptable", message).with_details(serde_json::json!({})))
}

/// Whether the client prefers the aggregated form of discovery, and the version of it.
pub(super) fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    for range in ranges(&accept_text(headers)) {
        if range.parameter("as") == Some("APIGroupDiscoveryList") && range.parameter("g") == Some("apidiscovery.k8s.io")
        {
            match range.parameter("v") {
                Some("v2") => return Some("v2"),
                Some("v2beta1") => return Some("v2beta1"),
                _ => continue,
            }
        }
        if matches!(range.media_type, "application/json" | "*/*") && range.parameter("as").is_none() {
            return None;
        }
    }
    None
}

/// The media type of the body, without its parameters.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// 415 for a body in none of the formats.
pub(super) fn unsupported_body(accepted: &str) -> Status {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    Status::new(415, "UnsupportedMediaType", message)
}

/// How a body of an object is written.
///
/// # Errors
/// 415 for any other media type.
pub(super) fn body_format(headers: &HeaderMap) -> Result<crate::schema::Format, Status> {
    match content_type(headers) {
        "" | "application/json" => Ok(crate::schema::Format::Json),
        "application/yaml" => Ok(crate::schema::Format::Yaml),
        PROTOBUF => Ok(crate::schema::Format::Protobuf),
        _ => Err(unsupported_body(REPRESENTATIONS)),
    }
}

/// The body of an action on an object, which is read as far as it is used: JSON, YAML or protobuf.
///
/// # Errors
/// 400 for a body that can't be read.
pub(super) fn action(call: &Call, api_version: &str, kind: &str) -> Result<Value, Status> {
    match content_type(&call.headers) {
        PROTOBUF => crate::schema::action(&call.body, api_version, kind),
        _ => serde_yaml::from_slice(&call.body).map_err(|error| Status::bad_request(error.to_string())),
    }
}

fn accept_text(headers: &HeaderMap) -> String {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn ranges(text: &str) -> impl Iterator<Item = Range<'_>> {
    text.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        Range { media_type, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
    })
}
