//! The annotations by which a Deployment and its ReplicaSets remember revisions and sizes.

use std::cmp::Ordering;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;

use crate::controllers::owners::Labels;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// What stays on the Deployment; all else is copied to its ReplicaSet.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The longest history that is kept, in characters.
const LONGEST_HISTORY: usize = 2000;

/// The ReplicaSet's revision; 0 for one that has none yet.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A number that an annotation holds.
pub(super) fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.annotations().get(annotation)?.parse().ok()
}

/// Sets what the ReplicaSet of the current template is to carry; whether that changed anything. The sizes are written
/// to new ones only: on an old one a scaling would be overlooked.
pub(super) fn refresh(
    annotations: &mut Labels,
    deployment: &Deployment,
    revision: i64,
    sizes: Option<(i32, i32)>,
) -> bool {
    let mut changed = false;
    for (key, value) in deployment.annotations() {
        if !NOT_COPIED.contains(&key.as_str()) && annotations.get(key) != Some(value) {
            annotations.insert(key.clone(), value.clone());
            changed = true;
        }
    }
    let before = annotations.get(REVISION).cloned();
    let number: i64 = before.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
    if number < revision {
        annotations.insert(REVISION.into(), revision.to_string());
        changed = true;
        if let Some(before) = before {
            remember(annotations, before);
        }
    }
    if let Some((desired, max)) = sizes {
        changed |= resize(annotations, desired, max);
    }
    changed
}

fn remember(annotations: &mut Labels, revision: String) {
    let mut history: Vec<String> = match annotations.get(REVISION_HISTORY) {
        Some(text) if !text.is_empty() => text.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    history.push(revision);
    while history.len() > 1 && history.iter().map(|one| one.len() + 1).sum::<usize>() > LONGEST_HISTORY {
        history.remove(0);
    }
    annotations.insert(REVISION_HISTORY.into(), history.join(","));
}

/// Writes the sizes that the ReplicaSet was scaled under; whether they differ from those there.
pub(super) fn resize(annotations: &mut Labels, desired: i32, max: i32) -> bool {
    let mut changed = false;
    for (key, value) in [(DESIRED, desired), (MAX, max)] {
        changed |= annotations.insert(key.into(), value.to_string()).as_deref() != Some(&value.to_string());
    }
    changed
}

/// The order in which old ReplicaSets are forgotten.
pub(super) fn by_revision(a: &ReplicaSet, b: &ReplicaSet) -> Ordering {
    revision(a).cmp(&revision(b)).then_with(|| by_creation(a, b))
}

/// Oldest first; the name decides between those of one second.
pub(super) fn by_creation(a: &ReplicaSet, b: &ReplicaSet) -> Ordering {
    let time = |set: &ReplicaSet| set.metadata.creation_timestamp.clone();
    time(a).cmp(&time(b)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
}
