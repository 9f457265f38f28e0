//! What a DaemonSet is to do, from one snapshot: a pod on every node that takes it (`daemon_controller.go` and
//! `update.go` of kube-controller-manager).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus},
    core::v1::{
        Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodTemplateSpec, Toleration,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::controllers::{
    numbers::{Round, scaled},
    owners::controller_reference,
    pods, revisions, scheduler,
};

/// What nodes suffer from passes; a daemon stays and comes nevertheless.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// What to do now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The names of nodes that miss their pod.
    pub(super) create: Vec<String>,
    /// Pods that are not wanted, or not any more.
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) status: DaemonSetStatus,
}

/// The node that a pod of the set is on or made for.
pub(super) fn node_of(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_ref().filter(|node| !node.is_empty()) {
        return Some(node.clone());
    }
    let required = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &required.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    fields.filter(|field| field.key == "metadata.name").find_map(|field| field.values.as_ref()?.first().cloned())
}

/// The set's pod for a node.
pub(super) fn pod(set: &DaemonSet, template: &PodTemplateSpec, hash: &str, node: &str) -> Pod {
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels.unwrap_or_default();
    labels.insert(revisions::LABEL.into(), hash.to_owned());
    let generation = set.annotations().get("deprecated.daemonset.template.generation").cloned();
    labels.insert("pod-template-generation".into(), generation.unwrap_or_else(|| "1".into()));
    let mut spec = template.spec.clone().unwrap_or_default();
    let here = NodeSelectorRequirement {
        key: "metadata.name".into(),
        operator: "In".into(),
        values: Some(vec![node.to_owned()]),
    };
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_with(NodeAffinity::default);
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_with(|| NodeSelector { node_selector_terms: vec![NodeSelectorTerm::default()] });
    for term in &mut required.node_selector_terms {
        term.match_fields = Some(vec![here.clone()]);
    }
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED {
        let one = Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        };
        if !tolerations.contains(&one) {
            tolerations.push(one);
        }
    }
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name_any())),
            namespace: set.namespace(),
            labels: Some(labels),
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// How many pods may be missing, and how many may be there twice, while they are replaced.
fn bounds(spec: &DaemonSetSpec, nodes: i32) -> (i32, i32) {
    let rolling =
        spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let number = |value: Option<_>| value.and_then(|value| scaled(&value, nodes, Round::Up));
    let surge = number(rolling.max_surge).unwrap_or(0);
    let missing = number(rolling.max_unavailable).unwrap_or(1);
    (if surge == 0 { missing.max(1) } else { missing }, surge)
}

/// Decides about a set, its pods and all nodes. `hash` is of the present template.
pub(super) fn plan(set: &DaemonSet, all: &[Arc<Pod>], nodes: &[Arc<Node>], hash: &str, now: Timestamp) -> Plan {
    let spec = set.spec.clone().unwrap_or_default();
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let is_new = |pod: &Pod| pod.labels().get(revisions::LABEL).map(String::as_str) == Some(hash);
    let is_available = |pod: &Pod| pods::is_active(pod) && pods::is_available(pod, min_ready, now);
    let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in all {
        by_node.entry(node_of(pod).unwrap_or_default()).or_default().push(pod.clone());
    }
    let (mut plan, mut status) = (Plan::default(), DaemonSetStatus::default());
    let (mut updated, mut available) = (0, 0);
    let mut replaceable = Vec::new();
    for node in nodes {
        let name = node.name_any();
        let present = by_node.remove(&name).unwrap_or_default();
        let wanted = scheduler::suits(&pod(set, &spec.template, hash, &name), node);
        if !wanted {
            status.number_misscheduled += i32::from(!present.is_empty());
            plan.delete.extend(present.into_iter().filter(|pod| pods::is_active(pod)));
            continue;
        }
        status.desired_number_scheduled += 1;
        status.current_number_scheduled += i32::from(present.iter().any(|pod| pods::is_active(pod)));
        status.number_ready += i32::from(present.iter().any(|pod| pods::is_active(pod) && pods::is_ready(pod)));
        available += i32::from(present.iter().any(|pod| is_available(pod)));
        updated += i32::from(present.iter().any(|pod| pods::is_active(pod) && is_new(pod)));
        // One that has ended is made anew once it is gone.
        let ended = present.iter().filter(|pod| pods::is_terminal(pod) && pod.metadata.deletion_timestamp.is_none());
        plan.delete.extend(ended.cloned());
        let (new, old): (Vec<_>, Vec<_>) =
            present.iter().filter(|pod| pods::is_active(pod)).cloned().partition(|pod| is_new(pod));
        // One that is leaving is waited for: two daemons at once may be in each other's way.
        if present.is_empty() {
            plan.create.push(name.clone());
        }
        // Of several the oldest stays.
        let age = |pod: &Arc<Pod>| (!pods::is_ready(pod), pod.metadata.creation_timestamp.clone(), pod.name_any());
        let mut surplus = new.clone();
        surplus.sort_by_key(age);
        plan.delete.extend(surplus.into_iter().skip(1));
        let mut old = old;
        old.sort_by_key(age);
        plan.delete.extend(old.iter().skip(1).cloned());
        if let Some(old) = old.first() {
            replaceable.push((name, old.clone(), new.first().cloned()));
        }
    }
    // Nodes that are gone.
    plan.delete.extend(by_node.into_values().flatten().filter(|pod| pods::is_active(pod)));
    let rolls = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    if rolls {
        let (missing, surge) = bounds(&spec, status.desired_number_scheduled);
        let mut room = missing - (status.desired_number_scheduled - available);
        let mut extra =
            surge - i32::try_from(replaceable.iter().filter(|(.., new)| new.is_some()).count()).unwrap_or(0);
        for (node, old, new) in replaceable {
            match new {
                // Its successor serves.
                Some(new) if is_available(&new) => plan.delete.push(old),
                Some(_) => {}
                // Not serving anyway.
                None if !is_available(&old) => plan.delete.push(old),
                None if surge > 0 && extra > 0 => {
                    plan.create.push(node);
                    extra -= 1;
                }
                None if surge == 0 && room > 0 => {
                    plan.delete.push(old);
                    room -= 1;
                }
                None => {}
            }
        }
    }
    let some = |number: i32| Some(number).filter(|number| *number > 0);
    status.observed_generation = set.metadata.generation;
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    let before = set.status.clone().unwrap_or_default();
    status.conditions = before.conditions;
    plan.status = status;
    plan
}
