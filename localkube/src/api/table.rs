//! Tables, as `kubectl get` prints them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{meta, request::Call, respond};
use crate::status::Status;

/// The objects as a `meta.k8s.io/v1` Table.
pub(super) fn of_objects(call: &Call, objects: &[Value], metadata: Value) -> Result<Value, Status> {
    let include = call.query.get("includeObject").unwrap_or("Metadata");
    if !matches!(include, "Metadata" | "Object" | "None") {
        return Err(Status::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {include:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        )));
    }
    let now = Timestamp::now();
    let row = |object: &Value| {
        let mut row = json!({"cells": cells(object, now)});
        row["object"] = match include {
            "Object" => object.clone(),
            "None" => Value::Null,
            _ => respond::partial(object),
        };
        row
    };
    Ok(json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns(),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    }))
}

fn columns() -> Value {
    json!([
        {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
        {"name": "Age", "type": "string", "format": "", "description": "", "priority": 0},
    ])
}

fn cells(object: &Value, now: Timestamp) -> Value {
    let age = meta::parse_time(&object["metadata"]["creationTimestamp"]);
    let age = age.map_or_else(|| "<unknown>".to_owned(), |since| format!("{}s", now.as_second() - since.as_second()));
    json!([object["metadata"]["name"], age])
}
