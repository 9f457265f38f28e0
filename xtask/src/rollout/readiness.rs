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

use Readiness::{Failed, Ready, Waiting};

/// Judges one object by itself. What it depends on is judged by its own rules.
pub fn of(object: &Value) -> Readiness {
    let group =
        object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Service") => service(object),
        ("policy", "PodDisruptionBudget") => disruption_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => generic(object),
    }
}

/// Whether the built-in kind says anything about itself that is worth waiting for.
pub(super) fn has_rules(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Pod" | "PersistentVolumeClaim" | "Service"),
        "apps" => matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet"),
        "batch" => kind == "Job",
        "autoscaling" => kind == "HorizontalPodAutoscaler",
        "policy" => kind == "PodDisruptionBudget",
        "apiextensions.k8s.io" => kind == "CustomResourceDefinition",
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

fn deployment(object: &Value) -> Readiness {
    if let Some(waiting) = observed(object) {
        return waiting;
    }
    let progressing = condition(object, "Progressing");
    if let Some(progressing) = progressing.filter(|progressing| progressing["reason"] == "ProgressDeadlineExceeded") {
        return Failed(said(progressing));
    }
    let status = &object["status"];
    let (wanted, all, updated, ready, available) = (
        replicas(object),
        number(&status["replicas"]),
        number(&status["updatedReplicas"]),
        number(&status["readyReplicas"]),
        number(&status["availableReplicas"]),
    );
    if wanted > updated {
        if object["spec"]["paused"] == true {
            return Failed("it is paused: kubectl rollout resume".to_owned());
        }
        return Waiting(format!("{updated} of {wanted} new pods made"));
    }
    if all > updated {
        return Waiting(format!("{} old pods still to end", all - updated));
    }
    if all > wanted {
        return Waiting(format!("{} pods too many", all - wanted));
    }
    if wanted > ready {
        return Waiting(format!("{ready} of {wanted} new pods ready"));
    }
    if wanted > available {
        return Waiting(format!("{available} of {wanted} new pods available"));
    }
    // Without a progress deadline there is no such condition.
    if progressing.is_some_and(|progressing| {
        progressing["reason"] != "NewReplicaSetAvailable" && progressing["reason"] != "DeploymentPaused"
    }) {
        return Waiting("its controller to call it complete".to_owned());
    }
    if !is(object, "Available", "True") {
        return Waiting("its controller to call it available".to_owned());
    }
    Ready
}

fn stateful_set(object: &Value) -> Readiness {
    if let Some(waiting) = observed(object) {
        return waiting;
    }
    let (spec, status) = (&object["spec"], &object["status"]);
    let wanted = replicas(object);
    if spec["updateStrategy"]["type"] == "OnDelete" {
        return Ready;
    }
    let (all, ready) = (number(&status["replicas"]), number(&status["readyReplicas"]));
    if wanted > all {
        return Waiting(format!("{all} of {wanted} pods made"));
    }
    if wanted > ready {
        return Waiting(format!("{ready} of {wanted} pods ready"));
    }
    if all > wanted {
        return Waiting(format!("{} pods too many", all - wanted));
    }
    let updated = number(&status["updatedReplicas"]);
    let partition = number(&spec["updateStrategy"]["rollingUpdate"]["partition"]);
    if partition > 0 {
        let due = wanted.saturating_sub(partition);
        return if updated < due { Waiting(format!("{updated} of {due} pods updated")) } else { Ready };
    }
    if status["updateRevision"] != status["currentRevision"] {
        return Waiting(format!("{updated} of {wanted} pods updated"));
    }
    Ready
}

fn daemon_set(object: &Value) -> Readiness {
    if let Some(waiting) = observed(object) {
        return waiting;
    }
    let status = &object["status"];
    let Some(wanted) = status["desiredNumberScheduled"].as_u64() else {
        return Waiting("its controller to count the nodes".to_owned());
    };
    for (field, word) in [
        ("currentNumberScheduled", "scheduled"),
        ("updatedNumberScheduled", "updated"),
        ("numberAvailable", "available"),
        ("numberReady", "ready"),
    ] {
        let have = number(&status[field]);
        if have < wanted
            && !(field == "updatedNumberScheduled" && object["spec"]["updateStrategy"]["type"] == "OnDelete")
        {
            return Waiting(format!("{have} of {wanted} pods {word}"));
        }
    }
    Ready
}

/// A Job is part of a release for what it does: it is ready when it is done.
fn job(object: &Value) -> Readiness {
    if let Some(failed) = condition(object, "Failed").filter(|condition| condition["status"] == "True") {
        return Failed(said(failed));
    }
    if is(object, "Complete", "True") || object["spec"]["suspend"] == true {
        return Ready;
    }
    let wanted = object["spec"]["completions"].as_u64().unwrap_or(1);
    Waiting(format!("{} of {wanted} completions", number(&object["status"]["succeeded"])))
}

fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Ready,
        Some("Failed") => Failed(said(&object["status"])),
        Some("Running") if is(object, "Ready", "True") => Ready,
        phase => Waiting(format!("it is {}", phase.unwrap_or("Pending"))),
    }
}

fn claim(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Bound") => Ready,
        Some("Lost") => Failed("its volume is lost".to_owned()),
        _ => Waiting("a volume".to_owned()),
    }
}

fn service(object: &Value) -> Readiness {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array();
    if object["spec"]["type"] == "LoadBalancer" && addresses.is_none_or(Vec::is_empty) {
        return Waiting("an address from the load balancer".to_owned());
    }
    Ready
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
