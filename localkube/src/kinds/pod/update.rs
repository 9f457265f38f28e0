//! What may change in a pod that exists.

use serde_json::Value;

use super::super::{
    errors::{forbidden, invalid},
    value::{int, items, restore, text},
};
use crate::status::FieldError;

const ALLOWED: &str = "pod updates may not change fields other than \
                       `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                       `spec.tolerations` (only additions to existing tolerations),\
                       `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The rules for a changed specification.
pub(in super::super) fn validate_update(errors: &mut Vec<FieldError>, object: &Value, old: &Value) {
    let (spec, before) = (&object["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        if items(spec, list).len() != items(before, list).len() {
            errors.push(forbidden(format!("spec.{list}"), "pod updates may not add or remove containers"));
            return;
        }
    }
    match (int(spec, "activeDeadlineSeconds"), int(before, "activeDeadlineSeconds")) {
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(invalid("spec.activeDeadlineSeconds", Value::Null, detail));
        }
        (Some(now), Some(was)) if now > was => {
            let detail = format!("must be less than or equal to previous value {was}");
            errors.push(invalid("spec.activeDeadlineSeconds", now, &detail));
        }
        _ => {}
    }
    let kept = items(before, "tolerations").iter().all(|one| items(spec, "tolerations").contains(one));
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(forbidden("spec.tolerations", detail));
    }
    // What may change is put back, so that anything that still differs is something that may not.
    let mut rest = spec.clone();
    for list in ["containers", "initContainers"] {
        for (index, container) in items(before, list).iter().enumerate() {
            if !text(&spec[list][index], "image").is_empty() {
                restore(&mut rest[list][index], container, "image");
            }
        }
    }
    for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        restore(&mut rest, before, key);
    }
    if int(before, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        restore(&mut rest, before, "terminationGracePeriodSeconds");
    }
    // The binding subresource and the scheduler place a pod; afterwards it stays.
    if text(before, "nodeName").is_empty() {
        restore(&mut rest, before, "nodeName");
    }
    if rest != *before {
        let mut changed = Vec::new();
        differences(&mut changed, "spec", before, &rest);
        errors.push(forbidden("spec", &format!("{ALLOWED}\n{}\n", changed.join("\n"))));
    }
}

/// The paths at which two values differ, each with what it was and what it would be.
fn differences(found: &mut Vec<String>, path: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                differences(found, &format!("{path}.{key}"), &old[key.as_str()], &new[key.as_str()]);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                differences(found, &format!("{path}[{index}]"), old, new);
            }
        }
        _ if old != new => found.push(format!("- {path}: {old}\n+ {path}: {new}")),
        _ => {}
    }
}
