//! Requests and limits of containers: defaults and rules.

use serde_json::{Map, Value};

use super::{
    errors::{NOT_NEGATIVE, invalid},
    names,
    quantity::Quantity,
    value::entries,
};
use crate::status::FieldError;

/// The amount that a value stands for; amounts may be written as numbers.
pub(super) fn amount(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text.trim()),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

/// A pod asks for its limit where it asks for nothing.
pub(super) fn requests_from_limits(container: &mut Value) {
    let Some(resources) = container.get_mut("resources").filter(|one| one.is_object()) else { return };
    let Some(limits) = resources["limits"].as_object().cloned() else { return };
    if !resources["requests"].is_object() {
        resources["requests"] = Value::Object(Map::new());
    }
    if let Some(requests) = resources["requests"].as_object_mut() {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

/// The rules for `requests` and `limits` of one container.
pub(super) fn validate(errors: &mut Vec<FieldError>, resources: &Value, path: &str) {
    for key in ["limits", "requests"] {
        for (name, value) in entries(resources, key) {
            let field = format!("{path}.{key}[{name}]");
            resource_name(errors, name, &field);
            let Some(quantity) = amount(value) else { continue };
            not_negative(errors, quantity, &field);
            if !is_divisible(name) && !quantity.is_integer() {
                errors.push(invalid(&field, quantity.to_string(), "must be an integer"));
            }
            let limit = if key == "requests" { amount(&resources["limits"][name.as_str()]) } else { None };
            if let Some(limit) = limit {
                let divisible = !name.contains('/') && !name.starts_with("hugepages-");
                if !divisible && quantity != limit {
                    let detail = format!("must be equal to {name} limit of {limit}");
                    errors.push(invalid(format!("{path}.requests"), quantity.to_string(), &detail));
                } else if quantity > limit {
                    let detail = format!("must be less than or equal to {name} limit of {limit}");
                    errors.push(invalid(format!("{path}.requests"), quantity.to_string(), &detail));
                }
            }
        }
    }
}

fn is_divisible(name: &str) -> bool {
    name == "cpu" || name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-")
}

fn resource_name(errors: &mut Vec<FieldError>, name: &str, path: &str) {
    let wrong = names::qualified(name);
    if !wrong.is_empty() {
        errors.extend(wrong.iter().map(|wrong| invalid(path, name, wrong)));
    } else if !name.contains('/') && !is_divisible(name) {
        errors.push(invalid(path, name, "must be a standard resource type or fully qualified"));
        errors.push(invalid(path, name, "must be a standard resource for containers"));
    }
}

/// Refuses less than nothing.
pub(super) fn not_negative(errors: &mut Vec<FieldError>, quantity: Quantity, path: &str) {
    if quantity.is_negative() {
        errors.push(invalid(path, quantity.to_string(), NOT_NEGATIVE));
    }
}
