//! Whether an object has become what was asked for, by the rules of kstatus
//! (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>): pure functions of its state.

use serde_json::Value;

/// What has become of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is as asked for.
    Ready,
    /// It is on its way; what it waits for.
    Waiting(String),
    /// It will not get there by itself; why.
    Failed(String),
}

mod network;
mod workloads;

use Readiness::{Failed, Ready, Waiting};

/// Judges one object by itself. What it depends on is judged by its own rules.
pub fn of(object: &Value) -> Readiness {
    let group =
        object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    if object["metadata"].get("deletionTimestamp").is_some() {
        return Waiting("its deletion to end".to_owned());
    }
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "ReplicaSet") => workloads::replica_set(object),
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("apps", "DaemonSet") => workloads::daemon_set(object),
        ("batch", "Job") => workloads::job(object),
        // Its Jobs come later.
        ("batch", "CronJob") => Ready,
        ("", "Pod") => workloads::pod(object),
        ("", "PersistentVolumeClaim") => claim(object, None, None),
        ("", "Namespace") => namespace(object),
        ("", "Service") => network::service(object),
        ("networking.k8s.io", "Ingress") => network::ingress(object),
        ("gateway.networking.k8s.io", kind) => network::gateway(object, kind),
        ("policy", "PodDisruptionBudget") => disruption_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => service_of_api(object),
        _ => generic(object),
    }
}

/// Whether the built-in kind says anything about itself that is worth waiting for.
pub(super) fn has_rules(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Pod" | "PersistentVolumeClaim" | "Service"),
        "apps" => matches!(kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet"),
        "batch" => kind == "Job",
        "autoscaling" => kind == "HorizontalPodAutoscaler",
        "policy" => kind == "PodDisruptionBudget",
        "apiextensions.k8s.io" => kind == "CustomResourceDefinition",
        "apiregistration.k8s.io" => kind == "APIService",
        "networking.k8s.io" => kind == "Ingress",
        "gateway.networking.k8s.io" => true,
        // The other groups of the API server itself; what is left are custom resources.
        group => !group.ends_with(".k8s.io"),
    }
}

/// The first condition of a type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == status)
}

/// `reason: message` of a condition.
fn said(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Nothing in the status counts until it is about the present specification: the rollout before would satisfy it.
fn observed(object: &Value) -> Option<Readiness> {
    let generation = object["metadata"]["generation"].as_u64();
    let seen = object["status"]["observedGeneration"].as_u64();
    (generation.unwrap_or(0) > seen.unwrap_or(0))
        .then(|| Waiting("its controller has not looked at the change yet".to_owned()))
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn replicas(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// A claim that waits for the pod that uses it first is as it should be until there is one.
///
/// Without the right to read storage classes, a claim that no pod uses is taken for such a one.
pub(super) fn claim(object: &Value, class: Option<&Value>, user: Option<&Value>) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Bound") => Ready,
        Some("Lost") => Failed("its volume is lost".to_owned()),
        _ => match user {
            Some(pod) => Waiting(format!("a volume, as does pod {}", pod["metadata"]["name"].as_str().unwrap_or("?"))),
            None if class.is_none_or(|class| class["volumeBindingMode"] == "WaitForFirstConsumer") => Ready,
            None => Waiting("a volume".to_owned()),
        },
    }
}

fn namespace(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Terminating") => Waiting("its deletion to end".to_owned()),
        _ => Ready,
    }
}

fn service_of_api(object: &Value) -> Readiness {
    match condition(object, "Available") {
        Some(available) if available["status"] == "True" => Ready,
        Some(available) => Waiting(format!("what serves it: {}", said(available))),
        None => Waiting("what serves it".to_owned()),
    }
}

fn disruption_budget(object: &Value) -> Readiness {
    // A cluster without the disruption controller never says anything.
    if object["status"].get("observedGeneration").is_none() {
        return Ready;
    }
    let (healthy, wanted) = (number(&object["status"]["currentHealthy"]), number(&object["status"]["desiredHealthy"]));
    observed(object).unwrap_or(if healthy < wanted {
        Waiting(format!("{healthy} of {wanted} pods healthy"))
    } else {
        Ready
    })
}

fn definition(object: &Value) -> Readiness {
    if let Some(refused) = condition(object, "NamesAccepted").filter(|condition| condition["status"] == "False") {
        return Failed(said(refused));
    }
    if is(object, "Established", "True") { Ready } else { Waiting("the API server to serve it".to_owned()) }
}

/// Anything else that reports conditions: the three that kstatus defines.
fn generic(object: &Value) -> Readiness {
    // A controller that never says what it has looked at is taken at its word.
    let observes = object["status"].get("observedGeneration").is_some();
    if let Some(waiting) = observed(object).filter(|_| observes) {
        return waiting;
    }
    if let Some(stalled) = condition(object, "Stalled").filter(|condition| condition["status"] == "True") {
        return Failed(said(stalled));
    }
    if let Some(busy) = condition(object, "Reconciling").filter(|condition| condition["status"] == "True") {
        return Waiting(said(busy));
    }
    match condition(object, "Ready").filter(|condition| condition["status"] != "True") {
        Some(unready) => Waiting(said(unready)),
        None => Ready,
    }
}

/// An autoscaler raises its target to its minimum, metrics or not; before that, fewer pods than asked for are ready.
pub(super) fn autoscaler(object: &Value, target: Option<&Value>) -> Readiness {
    let least = object["spec"]["minReplicas"].as_u64().unwrap_or(1);
    let Some(target) = target else { return Ready };
    match replicas(target) {
        // Zero switches autoscaling off.
        0 => Ready,
        now if now < least => Waiting(format!("its target to go from {now} to {least} pods")),
        _ => Ready,
    }
}
