//! Objects between the form they are stored in and the version they are asked for in.
//!
//! Two resources differ from their storage: Events of events.k8s.io are core Events with other field names, and
//! HorizontalPodAutoscalers of autoscaling/v1 are v2 ones whose only metric is a CPU utilisation. Other metrics of an
//! autoscaler are not shown in v1 (the API server keeps them in annotations there).

use serde_json::{Value, json};

use crate::{resource::Resource, store::Stored};

const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("source", "deprecatedSource"),
];

/// Whether a resource's objects are stored in another version.
pub(super) fn needed(resource: &Resource) -> bool {
    let older =
        matches!((resource.group.as_str(), resource.version.as_str()), ("events.k8s.io", _) | ("autoscaling", "v1"));
    // A definition may have changed since.
    older || resource.custom.is_some()
}

/// The object as the resource shows it, with `apiVersion` and `kind`.
pub(super) fn shown(resource: &Resource, object: &Stored) -> Value {
    let mut value = object.value();
    if let Some(custom) = &resource.custom {
        custom.complete(&mut value);
    } else if needed(resource) {
        match resource.kind.as_str() {
            "Event" => rename(&mut value, EVENT_FIELDS.iter().map(|(core, event)| (*core, *event))),
            _ => autoscaler_to_v1(&mut value),
        }
    }
    value["kind"] = resource.kind.as_str().into();
    value["apiVersion"] = resource.api_version().into();
    value
}

/// The object as it is stored, without `apiVersion` and `kind`.
pub(super) fn to_store(resource: &Resource, object: &Value) -> Value {
    let mut value = object.clone();
    if resource.custom.is_none() && needed(resource) {
        match resource.kind.as_str() {
            "Event" => rename(&mut value, EVENT_FIELDS.iter().map(|(core, event)| (*event, *core))),
            _ => autoscaler_from_v1(&mut value),
        }
    }
    without_kind(value)
}

/// An object as all versions of its kind have it.
pub(super) fn without_kind(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    value
}

fn rename(object: &mut Value, names: impl Iterator<Item = (&'static str, &'static str)>) {
    let Some(fields) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

fn cpu_utilization(metric: &Value) -> Option<(&Value, &Value)> {
    let cpu = metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
    let resource = &metric["resource"];
    cpu.then_some((&resource["target"]["averageUtilization"], &resource["current"]["averageUtilization"]))
}

fn autoscaler_to_v1(object: &mut Value) {
    let metrics = take(&mut object["spec"], "metrics");
    take(&mut object["spec"], "behavior");
    if let Some((target, _)) = metrics.iter().find_map(cpu_utilization)
        && !target.is_null()
    {
        object["spec"]["targetCPUUtilizationPercentage"] = target.clone();
    }
    if object["status"].is_object() {
        take(&mut object["status"], "conditions");
        // The older version always says it.
        if object["status"]["currentReplicas"].is_null() {
            object["status"]["currentReplicas"] = 0.into();
        }
        let current = take(&mut object["status"], "currentMetrics");
        if let Some((_, current)) = current.iter().find_map(cpu_utilization)
            && !current.is_null()
        {
            object["status"]["currentCPUUtilizationPercentage"] = current.clone();
        }
    }
}

fn autoscaler_from_v1(object: &mut Value) {
    let target = object["spec"].as_object_mut().and_then(|spec| spec.remove("targetCPUUtilizationPercentage"));
    if let Some(target) = target.filter(|target| !target.is_null()) {
        let target = json!({"type": "Utilization", "averageUtilization": target});
        object["spec"]["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    }
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("currentCPUUtilizationPercentage");
    }
}

fn take(object: &mut Value, field: &str) -> Vec<Value> {
    match object.as_object_mut().and_then(|fields| fields.remove(field)) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
