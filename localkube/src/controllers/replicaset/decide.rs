//! What a ReplicaSet is to do, from one snapshot: how many pods to create, which to delete, what its status says.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::ResourceExt;

use crate::controllers::{owners::controller_reference, pods};

/// The most pods created or deleted in one go (kube-controller-manager's burst).
const BURST: usize = 500;

/// The change in pods that brings a ReplicaSet to its size.
#[derive(Debug, PartialEq)]
pub(super) enum Scale {
    /// The pods are as many as asked for.
    Right,
    /// So many are missing.
    Create(usize),
    /// These are too many.
    Delete(Vec<Arc<Pod>>),
}

/// Compares the active pods with the wanted number. `related` are the active pods of the same owner, by which crowded
/// nodes are told from others.
pub(super) fn scale(wanted: i32, active: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Scale {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    match active.len().cmp(&wanted) {
        Ordering::Equal => Scale::Right,
        Ordering::Less => Scale::Create((wanted - active.len()).min(BURST)),
        Ordering::Greater => {
            let surplus = (active.len() - wanted).min(BURST);
            Scale::Delete(least_missed(active, related, now).into_iter().take(surplus).collect())
        }
    }
}

/// The pods in the order in which they are given up (`ActivePodsWithRanks` of the Kubernetes controllers).
fn least_missed(active: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut on_node: HashMap<&str, i64> = HashMap::new();
    for node in related.iter().filter_map(|pod| node(pod)) {
        *on_node.entry(node).or_default() += 1;
    }
    let mut order = active.to_vec();
    order.sort_by_cached_key(|pod| {
        let ready = pods::is_ready(pod);
        (
            node(pod).is_some(),
            match pods::phase(pod) {
                "Pending" => 0,
                "Unknown" => 1,
                _ => 2,
            },
            ready,
            deletion_cost(pod),
            -node(pod).and_then(|node| on_node.get(node)).copied().unwrap_or(0),
            // KEP-2185: ages count by their order of magnitude, so that not always the youngest goes.
            if ready { age_rank(pods::ready_since(pod), now) } else { 0 },
            -pods::restarts(pod),
            age_rank(pod.metadata.creation_timestamp.as_ref().map(|time| time.0), now),
            pod.metadata.uid.clone(),
        )
    });
    order
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn deletion_cost(pod: &Pod) -> i32 {
    let cost = pod.annotations().get("controller.kubernetes.io/pod-deletion-cost");
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// The logarithm of the age: young ones first, unknown ones before all.
fn age_rank(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(since) = since else { return -1 };
    now.duration_since(since).as_nanos().checked_ilog2().map_or(0, i64::from)
}

/// The pod that the ReplicaSet creates.
pub(super) fn pod_of(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name_any())),
            namespace: set.namespace(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// Why the last attempt to reach the size failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure<'a> {
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
}

/// The status that the pods show.
pub(super) fn status(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    terminating: usize,
    failure: Option<Failure<'_>>,
    now: &Time,
) -> ReplicaSetStatus {
    let spec = set.spec.as_ref();
    let labels = spec.and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.clone()).unwrap_or_default();
    let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let count = |test: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| test(pod)).count();
    let some = |count: usize| i32::try_from(count).ok().filter(|count| *count > 0);
    let mut conditions = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    match failure {
        // The first failure's words stay until it is over, or a message with generated names would change for ever.
        Some(_) if conditions.iter().any(|condition| condition.type_ == "ReplicaFailure") => {}
        Some(failure) => conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".into(),
            status: "True".into(),
            reason: Some(failure.reason.into()),
            message: Some(failure.message.into()),
            last_transition_time: Some(now.clone()),
        }),
        None => conditions.retain(|condition| condition.type_ != "ReplicaFailure"),
    }
    ReplicaSetStatus {
        replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: some(count(&|pod| labels.iter().all(|(k, v)| pod.labels().get(k) == Some(v)))),
        ready_replicas: some(count(&pods::is_ready)),
        available_replicas: some(count(&|pod| pods::is_available(pod, min_ready, now.0))),
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        observed_generation: set.metadata.generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
    }
}

/// In how many seconds the next ready pod becomes available, if one is waiting for `minReadySeconds`.
pub(crate) fn next_available(active: &[Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> Option<u64> {
    let waiting = active.iter().filter(|pod| !pods::is_available(pod, min_ready_seconds, now));
    let left = waiting.filter_map(|pod| {
        let since = pods::ready_since(pod)?;
        Some(i64::from(min_ready_seconds) - now.duration_since(since).as_secs())
    });
    left.min().map(|seconds| u64::try_from(seconds).unwrap_or(0).max(1))
}
