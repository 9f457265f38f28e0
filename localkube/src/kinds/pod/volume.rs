//! Rules for volumes and what containers mount of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{
    errors::{duplicate, forbidden, invalid, not_found, required},
    names,
    resources::amount,
    value::{has, int, items, part_names, text},
};
use crate::status::FieldError;

/// In the order in which the server looks at them, which decides which of two is one too many.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "azureFile",
    "configMap",
    "azureDisk",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "scaleIO",
    "storageos",
    "projected",
    "csi",
    "ephemeral",
    "image",
    "flexVolume",
];

/// The rules for the volumes of a pod; returns the names of those that are in order.
pub(super) fn validate<'a>(errors: &mut Vec<FieldError>, spec: &'a Value, path: &str) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let mut wrong = Vec::new();
        source(&mut wrong, volume, &path);
        let name = text(volume, "name");
        if name.is_empty() {
            wrong.push(required(format!("{path}.name"), ""));
        } else {
            wrong.extend(names::dns_label(name).iter().map(|detail| invalid(format!("{path}.name"), name, detail)));
        }
        if known.contains(name) {
            wrong.push(duplicate(format!("{path}.name"), name));
        }
        if wrong.is_empty() {
            known.insert(name);
        }
        errors.extend(wrong);
    }
    known
}

fn source(errors: &mut Vec<FieldError>, volume: &Value, path: &str) {
    let given: BTreeSet<&str> = part_names(volume).collect();
    let mut kinds = SOURCES.iter().filter(|kind| given.contains(**kind));
    let Some(kind) = kinds.next() else {
        errors.push(required(path, "must specify a volume type"));
        return;
    };
    for more in kinds {
        errors.push(forbidden(format!("{path}.{more}"), "may not specify more than 1 volume type"));
    }
    let (source, path) = (&volume[*kind], format!("{path}.{kind}"));
    let mut needs = |key: &str| {
        if text(source, key).is_empty() {
            errors.push(required(format!("{path}.{key}"), ""));
        }
    };
    match *kind {
        "secret" => needs("secretName"),
        "configMap" => needs("name"),
        "persistentVolumeClaim" => needs("claimName"),
        "csi" => needs("driver"),
        "hostPath" => needs("path"),
        "nfs" => {
            needs("server");
            needs("path");
        }
        _ => {}
    }
    match *kind {
        "emptyDir" if amount(&source["sizeLimit"]).is_some_and(|limit| limit.is_negative()) => {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(forbidden(format!("{path}.sizeLimit"), detail));
        }
        "hostPath" if text(source, "path").split('/').any(|part| part == "..") => {
            errors.push(invalid(format!("{path}.path"), text(source, "path"), "must not contain '..'"));
        }
        "secret" | "configMap" => files(errors, source, &path),
        "projected" => {
            mode(errors, source, "defaultMode", &path);
            for (index, one) in items(source, "sources").iter().enumerate() {
                for kind in ["secret", "configMap"] {
                    let path = format!("{path}.sources[{index}].{kind}");
                    if !one[kind].is_object() {
                        continue;
                    }
                    if text(&one[kind], "name").is_empty() {
                        errors.push(required(format!("{path}.name"), ""));
                    }
                    files(errors, &one[kind], &path);
                }
            }
        }
        _ => {}
    }
}

/// Keys of a ConfigMap or Secret as files.
fn files(errors: &mut Vec<FieldError>, source: &Value, path: &str) {
    mode(errors, source, "defaultMode", path);
    for (index, item) in items(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        if text(item, "key").is_empty() {
            errors.push(required(format!("{path}.key"), ""));
        }
        let file = text(item, "path");
        if file.is_empty() {
            errors.push(required(format!("{path}.path"), ""));
        } else {
            inside(errors, file, &format!("{path}.path"));
        }
        mode(errors, item, "mode", &path);
    }
}

fn mode(errors: &mut Vec<FieldError>, source: &Value, key: &str, path: &str) {
    if let Some(bits) = int(source, key).filter(|bits| !(0..=0o777).contains(bits)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(invalid(format!("{path}.{key}"), bits, detail));
    }
}

/// A path that stays below where it starts.
fn inside(errors: &mut Vec<FieldError>, file: &str, path: &str) {
    if file.starts_with('/') {
        errors.push(invalid(path, file, "must be a relative path"));
    }
    if file.split('/').any(|part| part == "..") {
        errors.push(invalid(path, file, "must not contain '..'"));
    }
}

/// The rules for the mounts of a container.
pub(super) fn mounts(errors: &mut Vec<FieldError>, container: &Value, volumes: &BTreeSet<&str>, path: &str) {
    let mut places = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(required(format!("{path}.name"), ""));
        }
        if !volumes.contains(name) {
            errors.push(not_found(format!("{path}.name"), name));
        }
        if place.is_empty() {
            errors.push(required(format!("{path}.mountPath"), ""));
        } else if !places.insert(place) {
            errors.push(invalid(format!("{path}.mountPath"), place, "must be unique"));
        }
        if has(mount, "subPath") {
            inside(errors, text(mount, "subPath"), &format!("{path}.subPath"));
        }
        if has(mount, "subPathExpr") {
            inside(errors, text(mount, "subPathExpr"), &format!("{path}.subPathExpr"));
            if has(mount, "subPath") {
                let expression = text(mount, "subPathExpr");
                errors.push(invalid(
                    format!("{path}.subPathExpr"),
                    expression,
                    "subPathExpr and subPath are mutually exclusive",
                ));
            }
        }
    }
}
