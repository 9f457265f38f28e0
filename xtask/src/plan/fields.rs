//! Which fields a kind has, from the cluster's own description of it (OpenAPI v3), for suggestions.

use http::Request;
use kube::Client;
use serde_json::Value;

use super::ObjectRef;
use crate::config::closest;

/// The description of an API version, if the cluster gives one: without it there is no suggestion, that is all.
pub(super) async fn description(client: &Client, object: &ObjectRef) -> Option<Value> {
    let prefix = if object.group().is_empty() { "api" } else { "apis" };
    let request = Request::get(format!("/openapi/v3/{prefix}/{}", object.api_version)).body(Vec::new()).ok()?;
    client.request(request).await.ok()
}

/// The field that was probably meant by the last part of a path such as `spec.containers[0].imge`.
pub(super) fn suggestion(description: &Value, object: &ObjectRef, path: &str) -> Option<String> {
    let (parent, wrong) = path.rsplit_once('.').unwrap_or(("", path));
    let schemas = &description["components"]["schemas"];
    let mut schema = schemas.as_object()?.values().find(|schema| is_of(schema, object))?;
    for part in parent.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_once('[').map_or((part, 0), |(key, rest)| (key, 1 + rest.matches('[').count()));
        schema = resolve(schemas, schema);
        schema = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
        for _ in 0..indexes {
            schema = &resolve(schemas, schema)["items"];
        }
    }
    let fields = resolve(schemas, schema)["properties"].as_object()?;
    closest(wrong, fields.keys().map(String::as_str)).map(str::to_owned)
}

fn is_of(schema: &Value, object: &ObjectRef) -> bool {
    let kinds = schema["x-kubernetes-group-version-kind"].as_array();
    kinds.into_iter().flatten().any(|kind| {
        let (group, version) =
            (kind["group"].as_str().unwrap_or_default(), kind["version"].as_str().unwrap_or_default());
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        api_version == object.api_version && kind["kind"] == object.kind.as_str()
    })
}

/// What a schema refers to: directly, or as the only part of `allOf`, which leaves room for a description beside it.
fn resolve<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match reference.and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => &schemas[name],
        None => schema,
    }
}
