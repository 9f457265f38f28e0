//! Whether a pod fits a node: the filters of the default scheduler, in its order and its words.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{
        Affinity, Container, Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodAffinityTerm, PodSpec, Taint,
        Toleration,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::ResourceExt;

use crate::controllers::{owners::selects, pods, quantity::thousandths};

type Amounts = BTreeMap<String, i128>;

/// Why a node does not take a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The scheduler's words.
    pub(super) reasons: Vec<String>,
    /// Whether the eviction of other pods could help.
    pub(super) resolvable: bool,
}

fn misfit(reason: &str, resolvable: bool) -> Option<Misfit> {
    Some(Misfit { reasons: vec![reason.to_owned()], resolvable })
}

/// The first filter that the pod does not pass, if any. `present` are the pods bound to the node.
pub(super) fn misfit_of(pod: &Pod, node: &Node, present: &[Arc<Pod>]) -> Option<Misfit> {
    let spec = pod.spec.as_ref()?;
    unschedulable(spec, node)
        .or_else(|| taints(spec, node))
        .or_else(|| node_affinity(spec, node))
        .or_else(|| ports(spec, present))
        .or_else(|| resources(spec, node, present))
        .or_else(|| spread(spec, node))
        .or_else(|| pod_affinity(pod, spec, node, present))
}

/// Whether the node takes the pod, were it empty.
pub(crate) fn suits(pod: &Pod, node: &Node) -> bool {
    let Some(spec) = &pod.spec else { return false };
    unschedulable(spec, node).or_else(|| taints(spec, node)).or_else(|| node_affinity(spec, node)).is_none()
}

fn tolerations(spec: &PodSpec) -> &[Toleration] {
    spec.tolerations.as_deref().unwrap_or_default()
}

/// Whether one of the tolerations bears the taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match toleration.operator.as_deref() {
                Some("Exists") => true,
                _ => !key.is_empty() && toleration.value.as_deref().unwrap_or_default() == value(taint),
            }
    })
}

fn value(taint: &Taint) -> &str {
    taint.value.as_deref().unwrap_or_default()
}

fn unschedulable(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let taint =
        Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() };
    if cordoned && !tolerates(tolerations(spec), &taint) {
        return misfit("node(s) were unschedulable", false);
    }
    None
}

fn taints(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let repels = |taint: &Taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerates(tolerations(spec), taint)
    };
    if taints.any(repels) { misfit("node(s) had untolerated taint(s)", false) } else { None }
}

fn node_affinity(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let labels = node.labels();
    let chosen = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let attracted = required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| fits(term, node)));
    if chosen && attracted { None } else { misfit("node(s) didn't match Pod's node affinity/selector", false) }
}

fn fits(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // A term without requirements matches nothing.
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|one| meets(one, node.labels().get(&one.key).map(String::as_str)))
        && fields.iter().all(|one| one.key == "metadata.name" && meets(one, node.metadata.name.as_deref()))
}

fn meets(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|one| one == value));
    let number = || value.and_then(|value| value.parse::<i64>().ok());
    let bound = || values.first().and_then(|value| value.parse::<i64>().ok());
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number().zip(bound()).is_some_and(|(value, bound)| value > bound),
        "Lt" => number().zip(bound()).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Host ports that a pod takes: protocol, address, port.
fn host_ports(spec: &PodSpec) -> impl Iterator<Item = (&str, &str, i32)> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let address = port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
        Some((port.protocol.as_deref().unwrap_or("TCP"), address, number))
    })
}

fn ports(spec: &PodSpec, present: &[Arc<Pod>]) -> Option<Misfit> {
    let taken: Vec<_> = present.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(host_ports).collect();
    let clash = |wanted: (&str, &str, i32)| {
        taken.iter().any(|(protocol, address, port)| {
            (*protocol, *port) == (wanted.0, wanted.2)
                && (*address == wanted.1 || *address == "0.0.0.0" || wanted.1 == "0.0.0.0")
        })
    };
    if host_ports(spec).any(clash) {
        return misfit("node(s) didn't have free ports for the requested pod ports", true);
    }
    None
}

fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let pairs = quantities.into_iter().flatten();
    pairs.filter_map(|(name, quantity)| Some((name.clone(), thousandths(&quantity.0)?))).collect()
}

fn add(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        *to.entry(name.clone()).or_default() += amount;
    }
}

fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let present = to.entry(name.clone()).or_default();
        *present = (*present).max(*amount);
    }
}

/// What a pod asks of its node: its containers together with its sidecars, or more while one of its init containers
/// runs, and its overhead (KEP-753).
fn requests(spec: &PodSpec) -> Amounts {
    let of =
        |container: &Container| amounts(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    let (mut sidecars, mut peak, mut total) = (Amounts::new(), Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &of(container));
            raise(&mut peak, &sidecars);
        } else {
            let mut during = sidecars.clone();
            add(&mut during, &of(container));
            raise(&mut peak, &during);
        }
    }
    spec.containers.iter().for_each(|container| add(&mut total, &of(container)));
    add(&mut total, &sidecars);
    raise(&mut total, &peak);
    raise(&mut total, &amounts(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref())));
    add(&mut total, &amounts(spec.overhead.as_ref()));
    total
}

fn resources(spec: &PodSpec, node: &Node, present: &[Arc<Pod>]) -> Option<Misfit> {
    let allocatable = amounts(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let mut used = Amounts::new();
    present.iter().filter_map(|pod| pod.spec.as_ref()).for_each(|spec| add(&mut used, &requests(spec)));
    let (mut reasons, mut resolvable) = (Vec::new(), true);
    let room = allocatable.get("pods").copied().unwrap_or(0);
    if i128::try_from(present.len() + 1).unwrap_or(i128::MAX) * 1000 > room {
        reasons.push("Too many pods".to_owned());
    }
    for (name, wanted) in requests(spec).iter().filter(|(_, wanted)| **wanted > 0) {
        let total = allocatable.get(name).copied().unwrap_or(0);
        if *wanted > total - used.get(name).copied().unwrap_or(0) {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= *wanted <= total;
        }
    }
    if reasons.is_empty() { None } else { Some(Misfit { reasons, resolvable }) }
}

/// With one node per zone there is no skew to speak of; a node without the key can't take part.
fn spread(spec: &PodSpec, node: &Node) -> Option<Misfit> {
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    let strict = |one: &&_| {
        let one: &k8s_openapi::api::core::v1::TopologySpreadConstraint = one;
        one.when_unsatisfiable == "DoNotSchedule"
    };
    if constraints.iter().filter(strict).any(|one| !node.labels().contains_key(&one.topology_key)) {
        return misfit("node(s) didn't match pod topology spread constraints (missing required label)", false);
    }
    None
}

fn attracting(affinity: Option<&Affinity>) -> &[PodAffinityTerm] {
    let affinity = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    affinity.and_then(|one| one.required_during_scheduling_ignored_during_execution.as_deref()).unwrap_or_default()
}

fn repelling(affinity: Option<&Affinity>) -> &[PodAffinityTerm] {
    let affinity = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    affinity.and_then(|one| one.required_during_scheduling_ignored_during_execution.as_deref()).unwrap_or_default()
}

/// Whether a term of a pod in `namespace` speaks of `other`.
fn concerns(term: &PodAffinityTerm, namespace: Option<&String>, other: &Pod) -> bool {
    let named = term.namespaces.as_deref().unwrap_or_default();
    let here = if named.is_empty() && term.namespace_selector.is_none() {
        other.metadata.namespace.as_ref() == namespace
    } else {
        term.namespace_selector.is_some() || other.metadata.namespace.iter().any(|one| named.contains(one))
    };
    here && term.label_selector.as_ref().is_some_and(|selector| selects(selector, other.labels()))
}

fn pod_affinity(pod: &Pod, spec: &PodSpec, node: &Node, present: &[Arc<Pod>]) -> Option<Misfit> {
    let namespace = pod.metadata.namespace.as_ref();
    let has = |term: &PodAffinityTerm| node.labels().contains_key(&term.topology_key);
    let affinity = spec.affinity.as_ref();
    for term in attracting(affinity) {
        // The first of a group that attracts itself may go anywhere.
        let met = present.iter().any(|other| concerns(term, namespace, other)) || concerns(term, namespace, pod);
        if !has(term) || !met {
            return misfit("node(s) didn't match pod affinity rules", false);
        }
    }
    for term in repelling(affinity).iter().filter(|term| has(term)) {
        if present.iter().any(|other| concerns(term, namespace, other)) {
            return misfit("node(s) didn't match pod anti-affinity rules", true);
        }
    }
    for other in present {
        let terms = repelling(other.spec.as_ref().and_then(|spec| spec.affinity.as_ref()));
        if terms.iter().any(|term| has(term) && concerns(term, other.metadata.namespace.as_ref(), pod)) {
            return misfit("node(s) didn't satisfy existing pods anti-affinity rules", true);
        }
    }
    None
}

/// The pods that take room on the node.
pub(super) fn on_node<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>, node: &str) -> Vec<Arc<Pod>> {
    let here = |pod: &Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node) && !pods::is_terminal(pod)
    };
    pods.filter(|pod| here(pod)).cloned().collect()
}

/// Why no node was looked at.
pub(super) fn explain_early(reason: &str, nodes: usize) -> String {
    format!(
        "0/{nodes} nodes are available: {reason}. no new claims to deallocate, \
         preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    )
}

/// Why no node takes the pod, as the PodScheduled condition and the event say it.
pub(super) fn explain(misfits: &[Misfit]) -> String {
    let total = misfits.len();
    if total == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in misfits.iter().flat_map(|misfit| &misfit.reasons) {
        *counts.entry(reason).or_default() += 1;
    }
    let mut preemption: BTreeMap<&str, usize> = BTreeMap::new();
    for misfit in misfits {
        let outcome = if misfit.resolvable {
            "No preemption victims found for incoming pod"
        } else {
            "Preemption is not helpful for scheduling"
        };
        *preemption.entry(outcome).or_default() += 1;
    }
    let list = |counts: &BTreeMap<&str, usize>| {
        let mut parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        parts.sort();
        parts.join(", ")
    };
    let (why, preemption) = (list(&counts), list(&preemption));
    format!(
        "0/{total} nodes are available: {why}. no new claims to deallocate, \
         preemption: 0/{total} nodes are available: {preemption}."
    )
}
