//! OpenAPI v2, for clients that know no other: every schema in one document. It describes types and no operations.
//!
//! kubectl reads it, in protobuf alone, before it sends an object of a kind that it has never seen.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};

use super::{PREFIX, all_schemas, protobuf};
use crate::{
    api::{Server, discovery::VERSION, respond},
    status::Status,
};

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The same as clients of old call it.
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers `/openapi/v2`.
pub(super) fn serve(server: &Server, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    for range in accepted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim()) {
        match range {
            "*/*" | "application/*" | "application/json" => return respond::json(200, document(server).to_string()),
            PROTOBUF | OLD_PROTOBUF => {
                let mut response = respond::json(200, protobuf::document(&document(server)));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
                return response;
            }
            _ => {}
        }
    }
    let message = format!("only the following media types are accepted: application/json, {PROTOBUF}");
    respond::failure(&Status::new(406, "NotAcceptable", message))
}

fn document(server: &Server) -> Value {
    let definitions: Map<String, Value> = all_schemas(server)
        .into_iter()
        .map(|(name, mut schema)| {
            older(&mut schema);
            (name, schema)
        })
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": {},
        "definitions": definitions,
    })
}

/// Version 2 has definitions where version 3 has components, and references stand alone.
fn older(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some([Value::Object(only)]) = map.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
                && let Some(reference) = only.get("$ref").cloned()
            {
                map.remove("allOf");
                map.remove("default");
                map.insert("$ref".to_owned(), reference);
            }
            for name in ["oneOf", "anyOf", "not", "nullable"] {
                map.remove(name);
            }
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace(PREFIX, "#/definitions/");
            }
            map.values_mut().for_each(older);
        }
        Value::Array(items) => items.iter_mut().for_each(older),
        _ => {}
    }
}
