//! The order of what is rendered: by kind what others need first, or as it is written.

use std::cmp::Ordering;

use super::{kustomization::Sort, object::Object};

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts as the outermost kustomization says; without a word, by kind, then by group, version, kind and name.
pub(super) fn sort(objects: &mut [Object], sort: &Sort) {
    match sort {
        Sort::Written => {}
        Sort::Default => objects.sort_by(|left, right| compare(left, right, &FIRST, &LAST)),
        Sort::Kinds { first, last } => objects.sort_by(|left, right| compare(left, right, first, last)),
    }
}

/// Adds an object where the usual order has it; those that are there stay as they are.
pub(crate) fn insert(objects: &mut Vec<Object>, object: Object) {
    let after = |other: &Object| compare(other, &object, &FIRST, &LAST).is_gt();
    let place = objects.iter().position(after).unwrap_or(objects.len());
    objects.insert(place, object);
}

fn compare<S: AsRef<str>>(left: &Object, right: &Object, first: &[S], last: &[S]) -> Ordering {
    let rank = |object: &Object| {
        let place = |kinds: &[S]| kinds.iter().rposition(|kind| kind.as_ref() == object.kind());
        match (place(first), place(last)) {
            (_, Some(place)) => first.len() + 1 + place,
            (Some(place), None) => place,
            (None, None) => first.len(),
        }
    };
    // `~` sorts an empty part behind every other, as kustomize has it.
    let key = |object: &Object| {
        let reference = object.reference();
        let (group, version) = reference.api_version.split_once('/').unwrap_or(("~G", &reference.api_version));
        let namespace = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("~X");
        (format!("{group}_{version}_{}", reference.kind), format!("{namespace}|{}", reference.name))
    };
    rank(left).cmp(&rank(right)).then_with(|| key(left).cmp(&key(right)))
}
