//! HorizontalPodAutoscalers of `autoscaling/v2` and `v1`.

use serde_json::{Value, json};

use super::{
    errors::{invalid, one_of, required},
    value::{default, default_nonzero, has, int, items, make, part, text},
};
use crate::status::FieldError;

/// Without metrics the target is this share of the CPU that was asked for, in percent.
const CPU_TARGET: i64 = 80;
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

/// Defaults of either version.
pub(super) fn defaults(version: &str, object: &mut Value) {
    let spec = make(object, "spec");
    default(spec, "minReplicas", 1);
    if version == "v1" {
        return;
    }
    default_nonzero(spec, "metrics", json!([cpu_metric(CPU_TARGET)]));
    let Some(behavior) = part(spec, "behavior") else { return };
    let share = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (name, policies) in [("scaleUp", json!([pods, share])), ("scaleDown", json!([share]))] {
        let rules = make(behavior, name);
        default(rules, "selectPolicy", "Max");
        default_nonzero(rules, "policies", policies);
        if name == "scaleUp" {
            default(rules, "stabilizationWindowSeconds", 0);
        }
    }
}

fn cpu_metric(utilization: i64) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": utilization});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

/// The status that a new autoscaler begins with.
pub(super) fn fresh_status(version: &str) -> Value {
    match version {
        "v1" => json!({"currentReplicas": 0, "desiredReplicas": 0}),
        _ => json!({"currentMetrics": null, "desiredReplicas": 0}),
    }
}

/// The rules for either version.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value) {
    let spec = &object["spec"];
    let least = int(spec, "minReplicas");
    let most = int(spec, "maxReplicas").unwrap_or_default();
    if let Some(least) = least.filter(|least| *least < 1) {
        errors.push(invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        errors.push(invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        errors.push(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
    }
    let target = &spec["scaleTargetRef"];
    for key in ["kind", "name"] {
        if text(target, key).is_empty() {
            errors.push(required(format!("spec.scaleTargetRef.{key}"), ""));
        }
    }
    if text(target, "apiVersion").is_empty() {
        errors.push(invalid("spec.scaleTargetRef.apiVersion", "", "apiVersion must specify API group"));
    }
    for (index, metric) in items(spec, "metrics").iter().enumerate() {
        validate_metric(errors, metric, &format!("spec.metrics[{index}]"));
    }
}

fn validate_metric(errors: &mut Vec<FieldError>, metric: &Value, path: &str) {
    let kinds: Vec<&str> = SOURCES.iter().map(|(kind, _)| *kind).collect();
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.push(required(format!("{path}.type"), "must specify a metric source type"));
        return;
    }
    one_of(errors, metric, "type", path, &kinds, false);
    let Some((_, field)) = SOURCES.iter().find(|(name, _)| *name == kind) else { return };
    let source = &metric[*field];
    if !source.is_object() {
        let detail = "must populate information for the given metric source";
        errors.push(required(format!("{path}.{field}"), detail));
        return;
    }
    let path = format!("{path}.{field}");
    if field.ends_with("esource") && text(source, "name").is_empty() {
        errors.push(required(format!("{path}.name"), "must specify a resource name"));
    }
    let target = &source["target"];
    if field.ends_with("esource") && !has(target, "averageUtilization") && !has(target, "averageValue") {
        let detail = "must set either a target raw value or a target utilization";
        errors.push(required(format!("{path}.target.averageUtilization"), detail));
    }
    if let Some(share) = int(target, "averageUtilization").filter(|share| *share < 1) {
        errors.push(invalid(format!("{path}.target.averageUtilization"), share, "must be greater than 0"));
    }
}
