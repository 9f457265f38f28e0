//! Label selectors: their rules and what they match.

use serde_json::Value;

use super::{
    errors::{forbidden, invalid, required},
    metadata::labels,
    names,
    value::{entries, items, text},
};
use crate::status::FieldError;

/// Whether a selector selects everything.
pub(super) fn is_empty(selector: &Value) -> bool {
    entries(selector, "matchLabels").next().is_none() && items(selector, "matchExpressions").is_empty()
}

/// Whether the labels (a map, or absent) satisfy a selector. An absent selector matches nothing.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    selector.is_object()
        && entries(selector, "matchLabels").all(|(key, value)| labels[key.as_str()] == *value)
        && items(selector, "matchExpressions").iter().all(|rule| {
            let value = &labels[text(rule, "key")];
            let listed = items(rule, "values").contains(value);
            match text(rule, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => !value.is_null(),
                "DoesNotExist" => value.is_null(),
                _ => false,
            }
        })
}

/// The rules for a selector.
pub(super) fn validate(errors: &mut Vec<FieldError>, selector: &Value, path: &str) {
    labels(errors, selector, "matchLabels", &format!("{path}.matchLabels"));
    for (index, rule) in items(selector, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = items(rule, "values");
        match text(rule, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(required(format!("{path}.values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(forbidden(format!("{path}.values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
        let key = text(rule, "key");
        errors.extend(names::qualified(key).iter().map(|wrong| invalid(format!("{path}.key"), key, wrong)));
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            let wrong = names::label_value(value);
            errors.extend(wrong.iter().map(|wrong| invalid(format!("{path}.values[{index}]"), value, wrong)));
        }
    }
}
