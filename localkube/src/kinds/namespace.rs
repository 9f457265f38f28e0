//! Namespaces, and the labels by which they ask for Pod Security.

use serde_json::{Value, json};

use super::{
    errors::invalid,
    pod_security::Level,
    value::{default, entries, items, make},
};
use crate::status::FieldError;

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
const SECURITY: &str = "pod-security.kubernetes.io/";

/// Defaults of a Namespace: it carries its name as a label, for selectors.
pub(super) fn defaults(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if name.is_string() {
        make(make(object, "metadata"), "labels")[NAME_LABEL] = name;
    }
}

/// A new Namespace is active, and stays until its content is gone.
pub(super) fn prepare(object: &mut Value) {
    let spec = make(object, "spec");
    if !items(spec, "finalizers").iter().any(|one| one == "kubernetes") {
        match spec["finalizers"].as_array_mut() {
            Some(list) => list.push("kubernetes".into()),
            None => spec["finalizers"] = json!(["kubernetes"]),
        }
    }
    object["status"] = json!({"phase": "Active"});
    default(object, "metadata", json!({}));
}

/// The levels and versions of Pod Security that the labels name.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value) {
    for (label, value) in entries(&object["metadata"], "labels") {
        let Some(rest) = label.strip_prefix(SECURITY) else { continue };
        let value = value.as_str().unwrap_or_default();
        let path = format!("metadata.labels[{label}]");
        match rest {
            "enforce" | "audit" | "warn" if Level::parse(value).is_none() => {
                errors.push(invalid(path, value, "must be one of privileged, baseline, restricted"));
            }
            "enforce-version" | "audit-version" | "warn-version" if !is_version(value) => {
                errors.push(invalid(path, value, "must be \"latest\" or \"v1.x\""));
            }
            _ => {}
        }
    }
}

fn is_version(text: &str) -> bool {
    text == "latest"
        || text.strip_prefix("v1.").is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}
