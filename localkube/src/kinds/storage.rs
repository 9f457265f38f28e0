//! Volumes, claims on them, and their classes.

use serde_json::Value;

use super::{
    errors::{forbidden, invalid, one_of, required},
    resources::amount,
    value::{default, default_nonzero, items, make, restore},
};
use crate::status::FieldError;

/// Defaults of a PersistentVolumeClaim.
pub(super) fn claim_defaults(object: &mut Value) {
    default_nonzero(make(object, "spec"), "volumeMode", "Filesystem");
}

/// Defaults of a PersistentVolume.
pub(super) fn volume_defaults(object: &mut Value) {
    let spec = make(object, "spec");
    default_nonzero(spec, "volumeMode", "Filesystem");
    default_nonzero(spec, "persistentVolumeReclaimPolicy", "Retain");
}

/// Defaults of a StorageClass.
pub(super) fn class_defaults(object: &mut Value) {
    default(object, "reclaimPolicy", "Delete");
    default(object, "volumeBindingMode", "Immediate");
}

/// The rules for a PersistentVolumeClaim.
pub(super) fn validate_claim(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    if items(spec, "accessModes").is_empty() {
        errors.push(required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in items(spec, "accessModes") {
        if mode.as_str().is_none_or(|mode| !modes.contains(&mode)) {
            errors.push(super::errors::unsupported("spec.accessModes", mode.clone(), &modes));
        }
    }
    match amount(&spec["resources"]["requests"]["storage"]) {
        None => errors.push(required("spec.resources[storage]", "")),
        Some(size) if size.is_zero() || size.is_negative() => {
            let path = "spec.resources[storage]";
            errors.push(invalid(path, size.to_string(), "must be greater than zero"));
        }
        Some(_) => {}
    }
    one_of(errors, spec, "volumeMode", "spec", &["Block", "Filesystem"], true);
    let Some(before) = old.map(|old| &old["spec"]) else { return };
    let mut rest = spec.clone();
    for key in ["resources", "volumeAttributesClassName"] {
        restore(&mut rest, before, key);
    }
    // Bound once, and given the default class once.
    for key in ["volumeName", "storageClassName"] {
        if before["volumeName"].is_null() && before[key].is_null() {
            restore(&mut rest, before, key);
        }
    }
    if rest != *before {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        errors.push(forbidden("spec", detail));
    }
}
