//! Which taints a node's state calls for, and how long a pod may stay among them.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Node, Pod, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::controllers::scheduler::tolerates;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The taints that the node should have: those of others, and ours for what it is now.
pub(super) fn taints(node: &Node, now: &Time) -> Vec<Taint> {
    let spec = node.spec.clone().unwrap_or_default();
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").map(|one| one.status.as_str());
    let mut ours: Vec<(&str, &str)> = Vec::new();
    match ready {
        Some("False") => ours.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        Some("Unknown") => ours.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
        // One that has not reported yet is left as it is.
        _ => {}
    }
    if spec.unschedulable == Some(true) {
        ours.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let mut taints = spec.taints.unwrap_or_default();
    taints.retain(|taint| {
        ![NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str())
            || ours.contains(&(taint.key.as_str(), taint.effect.as_str()))
    });
    for (key, effect) in ours {
        if !taints.iter().any(|taint| (taint.key.as_str(), taint.effect.as_str()) == (key, effect)) {
            let (key, effect) = (key.to_owned(), effect.to_owned());
            taints.push(Taint { key, effect, time_added: Some(now.clone()), value: None });
        }
    }
    taints
}

/// How long the pod may stay from now on; nothing if for ever.
pub(super) fn stay(pod: &Pod, taints: &[Taint]) -> Option<Duration> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let driving = taints.iter().filter(|taint| taint.effect == "NoExecute");
    let limits = driving.filter_map(|taint| {
        let mut bearing =
            tolerations.iter().filter(|toleration| tolerates(std::slice::from_ref(*toleration), taint)).peekable();
        if bearing.peek().is_none() {
            return Some(0);
        }
        bearing.filter_map(|toleration| toleration.toleration_seconds).min()
    });
    limits.min().map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
