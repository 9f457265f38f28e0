//! What a StatefulSet is to do next, from one snapshot, in the order of kube-controller-manager's
//! `stateful_set_control.go`: make and mend from the lowest ordinal up, then remove surplus, then update, from the
//! highest ordinal down.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus},
    core::v1::Pod,
};
use kube::ResourceExt;

use super::identity;
use crate::controllers::{
    numbers::{Round, scaled},
    pods, revisions,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Make the pod of this ordinal, from the current revision instead of the update's if `current`.
    Create { ordinal: i32, current: bool },
    /// Delete the pod; it comes again if its ordinal is wanted.
    Delete(Arc<Pod>),
}

/// The set's pods: those that it wants, by ordinal, and those that it does not, highest ordinal first.
pub(super) struct Members {
    pub(super) wanted: BTreeMap<i32, Arc<Pod>>,
    pub(super) condemned: Vec<Arc<Pod>>,
}

/// The ordinals that the set wants pods for.
pub(super) fn ordinals(spec: &StatefulSetSpec) -> std::ops::Range<i32> {
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    start..start + spec.replicas.unwrap_or(1)
}

/// Sorts the pods of the set by what is to become of them.
pub(super) fn members(set: &StatefulSet, spec: &StatefulSetSpec, all: &[Arc<Pod>]) -> Members {
    let range = ordinals(spec);
    let (mut wanted, mut condemned) = (BTreeMap::new(), BTreeMap::new());
    for pod in all {
        let Some(ordinal) = identity::ordinal(set, pod) else { continue };
        let group = if range.contains(&ordinal) { &mut wanted } else { &mut condemned };
        group.insert(ordinal, pod.clone());
    }
    Members { wanted, condemned: condemned.into_values().rev().collect() }
}

/// Whether the pod runs, is ready and stays.
fn is_healthy(pod: &Pod) -> bool {
    pods::phase(pod) == "Running" && pods::is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn is_available(spec: &StatefulSetSpec, pod: &Pod, now: Timestamp) -> bool {
    is_healthy(pod) && pods::is_available(pod, spec.min_ready_seconds.unwrap_or(0), now)
}

fn revision(pod: &Pod) -> Option<&str> {
    pod.labels().get(revisions::LABEL).map(String::as_str)
}

fn is_ordered(spec: &StatefulSetSpec) -> bool {
    spec.pod_management_policy.as_deref() != Some("Parallel")
}

/// From which ordinal on pods are updated; nothing if only by hand.
fn partition(spec: &StatefulSetSpec) -> Option<i32> {
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return None;
    }
    Some(ordinals(spec).start + strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or(0))
}

/// What to do now. Every step of an ordered set waits for the one before to be seen done.
pub(super) fn steps(spec: &StatefulSetSpec, members: &Members, update: &str, now: Timestamp) -> Vec<Step> {
    let ordered = is_ordered(spec);
    let mut steps = Vec::new();
    for ordinal in ordinals(spec) {
        let pod = members.wanted.get(&ordinal);
        match pod {
            None => {
                let current = partition(spec).is_some_and(|partition| ordinal < partition);
                steps.push(Step::Create { ordinal, current });
            }
            Some(pod) if pods::is_terminal(pod) && pod.metadata.deletion_timestamp.is_none() => {
                steps.push(Step::Delete(pod.clone()));
            }
            Some(pod) if is_available(spec, pod, now) => continue,
            Some(_) => {}
        }
        if ordered {
            return steps;
        }
    }
    let first_unhealthy = members.wanted.values().chain(&members.condemned).find(|pod| !is_healthy(pod));
    for pod in &members.condemned {
        let waits = !is_available(spec, pod, now) && first_unhealthy != Some(pod);
        if ordered && (pod.metadata.deletion_timestamp.is_some() || waits) {
            return steps;
        }
        if pod.metadata.deletion_timestamp.is_none() {
            steps.push(Step::Delete(pod.clone()));
        }
        if ordered {
            return steps;
        }
    }
    steps.extend(updates(spec, members, update, now).into_iter().map(Step::Delete));
    steps
}

/// The pods of another revision that may go now.
fn updates(spec: &StatefulSetSpec, members: &Members, update: &str, now: Timestamp) -> Vec<Arc<Pod>> {
    let Some(partition) = partition(spec) else { return Vec::new() };
    let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let most = most.and_then(|most| scaled(most, spec.replicas.unwrap_or(1), Round::Up)).unwrap_or(1).max(1);
    let mut room = most;
    let mut leaving = Vec::new();
    for (_, pod) in members.wanted.range(partition..).rev() {
        if room == 0 {
            break;
        }
        let old = revision(pod) != Some(update);
        if old && pod.metadata.deletion_timestamp.is_none() {
            // A terminal pod is on its way out already.
            if !pods::is_terminal(pod) {
                leaving.push(pod.clone());
            }
            room -= 1;
        } else if !is_available(spec, pod, now) {
            room -= 1;
        }
    }
    leaving
}

/// The status that the pods show.
pub(super) fn status(
    set: &StatefulSet,
    all: &[Arc<Pod>],
    current: &str,
    update: &str,
    collisions: Option<i32>,
    now: Timestamp,
) -> StatefulSetStatus {
    let spec = set.spec.clone().unwrap_or_default();
    let count =
        |test: &dyn Fn(&Pod) -> bool| i32::try_from(all.iter().filter(|pod| test(pod)).count()).unwrap_or(i32::MAX);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let of = |name: &str| count(&|pod| revision(pod) == Some(name) && pod.metadata.deletion_timestamp.is_none());
    let is_ready = |pod: &Pod| pods::phase(pod) == "Running" && pods::is_ready(pod);
    let (replicas, ready, updated) = (count(&|_| true), count(&is_ready), of(update));
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    // All of one revision and all ready: the update is over.
    let wanted = spec.replicas.unwrap_or(1);
    let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    let complete = rolling && (replicas, ready, updated) == (wanted, wanted, wanted);
    let current = if complete { update } else { current };
    StatefulSetStatus {
        observed_generation: set.metadata.generation,
        replicas,
        ready_replicas: some(ready),
        available_replicas: Some(count(&|pod| is_ready(pod) && pods::is_available(pod, min_ready, now))),
        current_replicas: some(of(current)),
        updated_replicas: some(updated),
        current_revision: Some(current.to_owned()),
        update_revision: Some(update.to_owned()),
        collision_count: Some(collisions.unwrap_or(0)),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}
