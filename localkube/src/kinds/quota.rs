//! ResourceQuotas and LimitRanges: their own defaults and rules.

use serde_json::{Map, Value};

use super::{
    errors::{invalid, one_of, required},
    names,
    resources::{amount, not_negative},
    value::{entries, items, items_mut, make, text},
};
use crate::status::FieldError;

const STANDARD: [&str; 18] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
];

/// The rules for a ResourceQuota.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value) {
    for (name, value) in entries(&object["spec"], "hard") {
        let path = format!("spec.hard[{name}]");
        let wrong = names::qualified(name);
        errors.extend(wrong.iter().map(|wrong| invalid(&path, name.as_str(), wrong)));
        let standard = STANDARD.contains(&name.as_str())
            || name == "services.nodeports"
            || ["requests.", "hugepages-", "limits."].iter().any(|prefix| name.starts_with(prefix));
        if wrong.is_empty() && !name.contains('/') && !standard {
            errors.push(invalid(&path, name.as_str(), "must be a standard resource type or fully qualified"));
            errors.push(invalid(&path, name.as_str(), "must be a standard resource for quota"));
        }
        if let Some(quantity) = amount(value) {
            not_negative(errors, quantity, &path);
            let counted = name.starts_with("count/") || (standard && !name.contains("cpu"));
            if counted && !quantity.is_integer() {
                errors.push(invalid(&path, quantity.to_string(), "must be an integer"));
            }
        }
    }
}

/// Defaults of a LimitRange: what is left out of a container's limits follows from what is there.
pub(super) fn range_defaults(object: &mut Value) {
    for item in items_mut(make(object, "spec"), "limits") {
        if text(item, "type") == "Container" {
            inherit(item, "default", "max");
            inherit(item, "defaultRequest", "default");
            inherit(item, "defaultRequest", "min");
        }
    }
}

fn inherit(item: &mut Value, key: &str, from: &str) {
    let Some(source) = item[from].as_object().cloned() else { return };
    if !item[key].is_object() {
        item[key] = Value::Object(Map::new());
    }
    if let Some(target) = item[key].as_object_mut() {
        for (name, value) in source {
            target.entry(name).or_insert(value);
        }
    }
}

/// The rules for a LimitRange.
pub(super) fn validate_range(errors: &mut Vec<FieldError>, object: &Value) {
    for (index, item) in items(&object["spec"], "limits").iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        if text(item, "type").is_empty() {
            errors.push(required(format!("{path}.type"), ""));
        }
        one_of(errors, item, "type", &path, &["Container", "PersistentVolumeClaim", "Pod"], true);
        // Each pair must be in order: what may be at least, asked for, given and at most.
        let order = [("min", "max"), ("min", "defaultRequest"), ("defaultRequest", "default"), ("default", "max")];
        for (low, high) in order {
            for (name, value) in entries(item, low) {
                let (Some(less), Some(more)) = (amount(value), amount(&item[high][name.as_str()])) else { continue };
                if less > more {
                    let detail = format!("{} value {less} is greater than {} value {more}", spoken(low), spoken(high));
                    errors.push(invalid(format!("{path}.{low}[{name}]"), less.to_string(), &detail));
                }
            }
        }
    }
}

fn spoken(key: &str) -> &str {
    if key == "defaultRequest" { "default request" } else { key }
}
