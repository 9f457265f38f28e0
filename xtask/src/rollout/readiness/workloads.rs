//! When what makes pods counts as done.

use serde_json::Value;

use super::{
    Readiness::{self, Failed, Ready, Waiting},
    condition, is, number, observed, replicas, said,
};

pub(super) fn deployment(object: &Value) -> Readiness {
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

pub(super) fn stateful_set(object: &Value) -> Readiness {
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

pub(super) fn daemon_set(object: &Value) -> Readiness {
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
pub(super) fn job(object: &Value) -> Readiness {
    // Of the two the first comes while the pods are still there (KEP-3939).
    let failed = ["FailureTarget", "Failed"].into_iter().filter_map(|kind| condition(object, kind));
    if let Some(failed) = failed.into_iter().find(|condition| condition["status"] == "True") {
        return Failed(said(failed));
    }
    if is(object, "Complete", "True") || object["spec"]["suspend"] == true {
        return Ready;
    }
    let wanted = object["spec"]["completions"].as_u64().unwrap_or(1);
    Waiting(format!("{} of {wanted} completions", number(&object["status"]["succeeded"])))
}

pub(super) fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Ready,
        Some("Failed") => Failed(said(&object["status"])),
        Some("Running") if is(object, "Ready", "True") => Ready,
        phase => Waiting(format!("it is {}", phase.unwrap_or("Pending"))),
    }
}

pub(super) fn replica_set(object: &Value) -> Readiness {
    if let Some(waiting) = observed(object) {
        return waiting;
    }
    let (wanted, status) = (replicas(object), &object["status"]);
    for (field, word) in
        [("fullyLabeledReplicas", "made"), ("readyReplicas", "ready"), ("availableReplicas", "available")]
    {
        let have = number(&status[field]);
        if have < wanted {
            return Waiting(format!("{have} of {wanted} pods {word}"));
        }
    }
    match number(&status["replicas"]) {
        all if all > wanted => Waiting(format!("{} pods too many", all - wanted)),
        _ => Ready,
    }
}
