//! Tables, as `kubectl get` prints them.

mod cells;
mod network;
mod pod;
#[cfg(test)]
mod tests;
mod words;

use std::{collections::HashMap, sync::OnceLock};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{request::Call, respond};
use crate::{custom::Custom, resource::Resource, status::Status};

/// Column definitions by storage resource; see `localkube/openapi/generate.py`.
const COLUMNS: &str = include_str!("../../../openapi/columns.json");

/// The objects as a `meta.k8s.io/v1` Table.
///
/// # Errors
/// 400 for an `includeObject` that is none.
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
        let cells = match &call.resource.custom {
            Some(custom) => custom_cells(custom, object, now),
            None => cells::of(&call.resource, object, now),
        };
        let mut row = json!({"cells": cells});
        if let Some(conditions) = pod::conditions(&call.resource, object) {
            row["conditions"] = conditions;
        }
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
        "columnDefinitions": columns(&call.resource),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    }))
}

fn columns(resource: &Resource) -> Value {
    static PARSED: OnceLock<HashMap<String, Value>> = OnceLock::new();
    let columns = PARSED.get_or_init(|| serde_json::from_str(COLUMNS).expect("a test parses the file"));
    let found = columns.get(&resource.storage).or_else(|| columns.get("*")).cloned().unwrap_or_default();
    let Some(custom) = &resource.custom else { return found };
    let name = found.as_array().into_iter().flatten().take(1).cloned();
    name.chain(custom.columns.iter().map(|column| column.head.clone())).collect()
}

/// The name, and what the definition shows of an object.
fn custom_cells(custom: &Custom, object: &Value, now: Timestamp) -> Value {
    let name = [object["metadata"]["name"].clone()].into_iter();
    name.chain(custom.columns.iter().map(|column| column.cell(object, |time| words::age(time, now)))).collect()
}
