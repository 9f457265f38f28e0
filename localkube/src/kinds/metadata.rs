//! Rules for `metadata`, the same for every kind but for the form of the name.

use serde_json::{Value, json};

use super::{
    errors::{IMMUTABLE, NOT_NEGATIVE, forbidden, invalid, raw_invalid, required, too_long},
    names,
    value::{entries, has, int, is_true, items, text},
};
use crate::status::FieldError;

/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What a kind's names must look like.
pub(super) type NameRule = fn(&str) -> Vec<String>;

/// The rules for a new object's metadata, in the order in which the server reports them.
pub(super) fn validate(object: &Value, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let mut errors = apimachinery(object, namespaced, rule);
    for (index, finalizer) in items(&object["metadata"], "finalizers").iter().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let standard = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        if !name.contains('/') && !standard {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(invalid(format!("metadata.finalizers[{index}]"), name, detail));
        }
    }
    errors
}

/// The part of the rules that also holds for kinds without rules of their own.
pub(super) fn apimachinery(object: &Value, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let mut errors = Vec::new();
    let prefix = text(metadata, "generateName");
    if !prefix.is_empty() {
        // The random suffix follows, so that the prefix may end in a dash.
        let sample = if prefix.ends_with('-') { format!("{prefix}a") } else { prefix.to_owned() };
        errors.extend(rule(&sample).iter().map(|wrong| invalid("metadata.generateName", prefix, wrong)));
    }
    let name = text(metadata, "name");
    if name.is_empty() {
        errors.push(required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(rule(name).iter().map(|wrong| invalid("metadata.name", name, wrong)));
    }
    let namespace = text(metadata, "namespace");
    if namespaced && namespace.is_empty() {
        errors.push(required("metadata.namespace", ""));
    } else if namespaced {
        let wrong = names::dns_label(namespace);
        errors.extend(wrong.iter().map(|wrong| invalid("metadata.namespace", namespace, wrong)));
    } else if !namespace.is_empty() {
        errors.push(forbidden("metadata.namespace", "not allowed on this type"));
    }
    if int(metadata, "generation").is_some_and(|generation| generation < 0) {
        errors.push(invalid("metadata.generation", metadata["generation"].clone(), NOT_NEGATIVE));
    }
    labels(&mut errors, metadata, "labels", "metadata.labels");
    annotations(&mut errors, metadata, "metadata.annotations");
    owners(&mut errors, metadata);
    for finalizer in items(metadata, "finalizers") {
        let name = finalizer.as_str().unwrap_or_default();
        errors.extend(names::qualified(name).iter().map(|wrong| invalid("metadata.finalizers", name, wrong)));
    }
    let has_finalizer = |name: &str| items(metadata, "finalizers").iter().any(|one| one == name);
    if has_finalizer("orphan") && has_finalizer("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(invalid("metadata.finalizers", metadata["finalizers"].clone(), detail));
    }
    errors
}

/// The rules for metadata that changes.
pub(super) fn validate_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let (metadata, before) = (&object["metadata"], &old["metadata"]);
    let mut errors = Vec::new();
    if has(before, "deletionTimestamp") {
        let kept = items(before, "finalizers");
        let added: Vec<String> =
            items(metadata, "finalizers").iter().filter(|one| !kept.contains(one)).map(ToString::to_string).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(forbidden("metadata.finalizers", &detail));
        }
    }
    for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if metadata[key] != before[key] {
            errors.push(invalid(format!("metadata.{key}"), metadata[key].clone(), IMMUTABLE));
        }
    }
    labels(&mut errors, metadata, "labels", "metadata.labels");
    annotations(&mut errors, metadata, "metadata.annotations");
    owners(&mut errors, metadata);
    errors
}

/// Keys and values of labels, also of node selectors.
pub(super) fn labels(errors: &mut Vec<FieldError>, parent: &Value, key: &str, path: &str) {
    for (name, value) in entries(parent, key) {
        errors.extend(names::qualified(name).iter().map(|wrong| invalid(path, name.as_str(), wrong)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(names::label_value(value).iter().map(|wrong| invalid(path, value, wrong)));
    }
}

/// Keys and the total size of annotations.
pub(super) fn annotations(errors: &mut Vec<FieldError>, metadata: &Value, path: &str) {
    let mut size = 0;
    for (name, value) in entries(metadata, "annotations") {
        let wrong = names::qualified(&name.to_lowercase());
        errors.extend(wrong.iter().map(|wrong| invalid(path, name.as_str(), wrong)));
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(too_long(path, ANNOTATIONS_LIMIT));
    }
}

fn owners(errors: &mut Vec<FieldError>, metadata: &Value) {
    let path = "metadata.ownerReferences";
    let references = items(metadata, "ownerReferences");
    let mut controllers = Vec::new();
    for owner in references {
        let version = text(owner, "apiVersion");
        if version.is_empty() {
            errors.push(invalid(format!("{path}.apiVersion"), "", "version must not be empty"));
        }
        for key in ["kind", "name", "uid"] {
            if text(owner, key).is_empty() {
                errors.push(invalid(format!("{path}.{key}"), "", "must not be empty"));
            }
        }
        if version == "v1" && text(owner, "kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(raw_invalid(path, &reference(owner), detail));
        }
        if is_true(owner, "controller") {
            controllers.push(format!("{}/{}", text(owner, "kind"), text(owner, "name")));
        }
    }
    if let [first, second, ..] = controllers.as_slice() {
        let list = references.iter().map(reference).collect::<Vec<_>>().join(",");
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        errors.push(raw_invalid(path, &format!("[{list}]"), &detail));
    }
}

/// An owner reference in the order of the server's own type, as it stands in messages.
fn reference(owner: &Value) -> String {
    let mut parts: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|key| format!("\"{key}\":{}", json!(text(owner, key))))
        .collect();
    for key in ["controller", "blockOwnerDeletion"] {
        if has(owner, key) {
            parts.push(format!("\"{key}\":{}", owner[key]));
        }
    }
    format!("{{{}}}", parts.join(","))
}
