//! `labels`, `commonLabels` and `commonAnnotations`, with the templates and selectors that carry them.

use serde_json::{Map, Value};

use super::{
    field::{Kind, places, visit},
    identity::Shared,
    kustomization::{Kustomization, Labels},
    object::Object,
};

/// The metadata of what a kind makes. Annotations do not reach the last.
const TEMPLATES: [(&str, &str); 9] = [
    ("ReplicationController/v1", "spec template metadata"),
    ("Deployment", "spec template metadata"),
    ("ReplicaSet", "spec template metadata"),
    ("DaemonSet", "spec template metadata"),
    ("StatefulSet.apps", "spec template metadata"),
    ("Job.batch", "spec template metadata"),
    ("CronJob.batch", "spec jobTemplate metadata"),
    ("CronJob.batch", "spec jobTemplate spec template metadata"),
    ("StatefulSet.apps", CLAIMS),
];

const CLAIMS: &str = "spec volumeClaimTemplates[] metadata";

/// Where a kind selects by labels, and whether the selector is made where it is missing.
const SELECTORS: [(&str, &str, bool); 12] = [
    ("Service/v1", "spec selector", true),
    ("ReplicationController/v1", "spec selector", true),
    ("Deployment", "spec selector matchLabels", true),
    ("ReplicaSet", "spec selector matchLabels", true),
    ("DaemonSet", "spec selector matchLabels", true),
    ("StatefulSet.apps", "spec selector matchLabels", true),
    ("Job.batch", "spec selector matchLabels", false),
    ("CronJob.batch", "spec jobTemplate spec selector matchLabels", false),
    ("PodDisruptionBudget.policy", "spec selector matchLabels", false),
    ("NetworkPolicy.networking.k8s.io", "spec podSelector matchLabels", false),
    ("NetworkPolicy.networking.k8s.io", "spec ingress from podSelector matchLabels", false),
    ("NetworkPolicy.networking.k8s.io", "spec egress to podSelector matchLabels", false),
];

/// Selectors of other pods, below the pod template's `spec`; of Deployments and StatefulSets only.
const NEIGHBOURS: [&str; 5] = [
    "affinity podAffinity preferredDuringSchedulingIgnoredDuringExecution podAffinityTerm labelSelector matchLabels",
    "affinity podAffinity requiredDuringSchedulingIgnoredDuringExecution labelSelector matchLabels",
    "affinity podAntiAffinity preferredDuringSchedulingIgnoredDuringExecution podAffinityTerm labelSelector matchLabels",
    "affinity podAntiAffinity requiredDuringSchedulingIgnoredDuringExecution labelSelector matchLabels",
    "topologySpreadConstraints labelSelector matchLabels",
];

/// `labels`, then `commonLabels`.
pub(super) fn labels(object: &mut Object, kustomization: &Kustomization) {
    for labels in &kustomization.labels {
        set(object, labels);
    }
    let pairs = kustomization.common_labels.clone();
    set(object, &Labels { pairs, include_selectors: true, include_templates: true, fields: Vec::new() });
}

/// `commonAnnotations`.
pub(super) fn annotations(object: &mut Object, pairs: &Map<String, Value>) {
    if pairs.is_empty() {
        return;
    }
    let add = |object: &mut Object, path: &str| {
        let path: Vec<&str> = path.split(' ').chain(["annotations"]).collect();
        visit(&mut object.value, &path, true, &mut |found| {
            if let Some(found) = found.as_object_mut() {
                found.extend(pairs.clone());
            }
        });
    };
    add(object, "metadata");
    let identity = object.identity();
    for (kind, path) in TEMPLATES {
        // Unlike labels, annotations go to a StatefulSet of any group.
        let kind = if kind == "StatefulSet.apps" { "StatefulSet" } else { kind };
        if path != CLAIMS && Kind::named(kind).fits(&identity) {
            add(object, path);
        }
    }
}

fn set(object: &mut Object, labels: &Labels) {
    if labels.pairs.is_empty() {
        return;
    }
    let identity = object.identity();
    let mut found = Vec::new();
    let mut add = |path: String, create: bool| {
        found.extend(places(&mut object.value, &path.split(' ').collect::<Vec<_>>(), create));
    };
    add("metadata labels".into(), true);
    if labels.include_templates || labels.include_selectors {
        for (_, path) in TEMPLATES.iter().filter(|(kind, _)| Kind::named(kind).fits(&identity)) {
            add(format!("{path} labels"), true);
        }
    }
    if labels.include_selectors {
        for (_, path, create) in SELECTORS.iter().filter(|(kind, ..)| Kind::named(kind).fits(&identity)) {
            add((*path).into(), *create);
        }
        if matches!(identity.kind.as_str(), "Deployment" | "StatefulSet") && identity.group() == "apps" {
            for path in NEIGHBOURS {
                add(format!("spec template spec {path}"), false);
            }
        }
    }
    for field in labels.fields.iter().filter(|field| field.of.fits(&identity)) {
        found.extend(places(&mut object.value, &field.path, field.create));
    }
    for (key, value) in &labels.pairs {
        put(object, key, value, &found);
    }
}

fn put(object: &mut Object, key: &str, value: &Value, places: &[String]) {
    let mut shared = Shared { key: key.to_owned(), value: value.clone(), places: Vec::new() };
    for place in places {
        let Some(labels) = object.value.pointer_mut(place).and_then(Value::as_object_mut) else { continue };
        if labels.insert(key.to_owned(), value.clone()).is_none() {
            shared.places.push(place.clone());
        }
    }
    object.settle();
    object.shared.push(shared);
}
