//! When objects count as done.

use serde_json::{Value, json};

use super::super::{
    readiness::{self, Readiness},
    snapshot::Snapshot,
    state::State,
};

fn judge(object: &Value) -> String {
    match readiness::of(object) {
        Readiness::Ready => "ready".to_owned(),
        Readiness::Waiting(what) => what,
        Readiness::Failed(why) => format!("failed: {why}"),
    }
}

#[track_caller]
fn all(cases: Vec<(Value, &str)>) {
    for (object, expected) in cases {
        assert_eq!(judge(&object), expected, "{object}");
    }
}

#[test]
fn what_makes_pods() {
    let set = |spec: Value, status: Value| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 2}, "spec": spec,
            "status": status})
    };
    let half = json!({"observedGeneration": 2, "replicas": 4, "readyReplicas": 4, "updatedReplicas": 2,
        "currentRevision": "a", "updateRevision": "b"});
    let partition = |n: u64| json!({"replicas": 4, "updateStrategy": {"rollingUpdate": {"partition": n}}});
    let on_delete = json!({"replicas": 4, "updateStrategy": {"type": "OnDelete"}});
    let job =
        |conditions: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": conditions}});
    let replicas = |ready: u64, available: u64, all: u64| {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 2}, "status": {
            "replicas": all, "fullyLabeledReplicas": 2, "readyReplicas": ready, "availableReplicas": available}})
    };
    let daemons = |strategy: &str| {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"updateStrategy": {"type": strategy}},
            "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 0,
                "numberAvailable": 2, "numberReady": 2}})
    };
    all(vec![
        (set(json!({"replicas": 4}), half.clone()), "2 of 4 pods updated"),
        (set(partition(2), half.clone()), "ready"),
        (set(partition(1), half.clone()), "2 of 3 pods updated"),
        (set(on_delete, half), "ready"),
        (
            set(json!({"replicas": 4}), json!({"observedGeneration": 1})),
            "its controller has not looked at the change yet",
        ),
        (daemons("OnDelete"), "ready"),
        (daemons("RollingUpdate"), "0 of 2 pods updated"),
        (replicas(2, 2, 2), "ready"),
        (replicas(1, 1, 2), "1 of 2 pods ready"),
        (replicas(2, 1, 2), "1 of 2 pods available"),
        (replicas(2, 2, 3), "1 pods too many"),
        (job(json!([{"type": "Complete", "status": "True"}])), "ready"),
        (
            job(
                json!([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]),
            ),
            "failed: DeadlineExceeded: too long",
        ),
        (json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": true}}), "ready"),
        (json!({"apiVersion": "batch/v1", "kind": "CronJob"}), "ready"),
        (json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Succeeded"}}), "ready"),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Failed", "reason": "Evicted",
                "message": "The node was low on resource: ephemeral-storage."}}),
            "failed: Evicted: The node was low on resource: ephemeral-storage.",
        ),
    ]);
}

#[test]
fn what_leads_to_pods() {
    let ingress = |status: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "status": status});
    let route = |parents: Value| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"generation": 2},
            "spec": {"parentRefs": [{"name": "edge"}]}, "status": {"parents": parents}})
    };
    let accepted = |status: &str, seen: u64| {
        json!({"type": "Accepted", "status": status, "reason": "NoMatchingParent", "message": "no such listener",
            "observedGeneration": seen})
    };
    let resolved = json!({"type": "ResolvedRefs", "status": "True", "observedGeneration": 2});
    all(vec![
        (ingress(json!({"loadBalancer": {}})), "an address from an ingress controller"),
        (ingress(json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}})), "ready"),
        (route(json!([])), "0 of 1 Gateways to accept it"),
        (route(json!([{"conditions": [accepted("True", 2), resolved]}])), "ready"),
        (
            route(json!([{"conditions": [accepted("True", 1), resolved]}])),
            "its controller has not looked at the change yet",
        ),
        (route(json!([{"conditions": [accepted("False", 2), resolved]}])), "NoMatchingParent: no such listener"),
        (
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "status": {"conditions": [
                {"type": "Accepted", "status": "True"}]}}),
            "a controller to accept it",
        ),
    ]);
}

#[test]
fn what_the_api_server_serves_and_what_reports_conditions() {
    let thing = |conditions: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"generation": 2},
            "status": {"observedGeneration": 2, "conditions": conditions}})
    };
    all(vec![
        (
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": [
                {"type": "NamesAccepted", "status": "False", "reason": "PluralConflict", "message": "in use"}]}}),
            "failed: PluralConflict: in use",
        ),
        (
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": [
                {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]}}),
            "ready",
        ),
        (
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "status": {"conditions": [
                {"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "none"}]}}),
            "what serves it: MissingEndpoints: none",
        ),
        (json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"}}), "ready"),
        (json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Terminating"}}), "its deletion to end"),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            "its deletion to end",
        ),
        (thing(json!([{"type": "Ready", "status": "True"}])), "ready"),
        (thing(json!([{"type": "Ready", "status": "Unknown", "reason": "Busy"}])), "Busy"),
        (thing(json!([{"type": "Reconciling", "status": "True", "message": "on it"}])), "on it"),
        (thing(json!([{"type": "Stalled", "status": "True", "reason": "Stuck"}])), "failed: Stuck"),
    ]);
}

#[test]
fn a_claim_waits_for_a_volume_only_when_somebody_needs_it() {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "app"},
        "spec": {"storageClassName": "standard"}, "status": {"phase": "Pending"}});
    let class = |mode: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard"},
            "volumeBindingMode": mode})
    };
    let pod = |phase: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-0", "namespace": "app"},
            "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}, "status": {"phase": phase}})
    };
    let progress = |others: Vec<Value>| {
        let objects = [super::reference("PersistentVolumeClaim", "data")];
        let snapshot = Snapshot::of([vec![claim.clone()], others].concat());
        State::of(&snapshot, &objects, super::now()).progress
    };
    assert_eq!(progress(vec![class("WaitForFirstConsumer")]), "nothing to wait for");
    assert_eq!(progress(vec![class("Immediate")]), "PersistentVolumeClaim app/data waits for a volume");
    let waits = "PersistentVolumeClaim app/data waits for a volume, as does pod db-0";
    assert_eq!(progress(vec![class("WaitForFirstConsumer"), pod("Pending")]), waits);
    assert_eq!(progress(vec![class("WaitForFirstConsumer"), pod("Succeeded")]), "nothing to wait for");
}

#[test]
fn what_is_marked_so_is_not_waited_for() {
    let ingress = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"},
        "metadata": {"name": "app", "namespace": "app", "annotations": {"slipway.dev/wait": "false"}}});
    let state = State::of(&Snapshot::of(vec![ingress]), &[super::reference("Service", "app")], super::now());
    assert!(state.waiting.is_empty());
}

/// Statuses as a Kubernetes 1.36.2 showed them at each step of a Deployment's life, by the name of the step.
pub(super) fn recorded(step: &str) -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../localkube/tests/golden/recordings/deployments.jsonl");
    let text = std::fs::read_to_string(file).expect("the recording is there");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let mut found = lines.filter(|line| line["step"]["name"] == step);
    found.next().expect("there is such a step")["answer"]["body"].clone()
}

#[test]
fn recorded_deployments_are_judged_as_their_controller_did() {
    let deadline = recorded("progress-deadline-exceeded");
    let mut object = super::deployment();
    object["metadata"]["generation"] = 1.into();
    object["spec"]["replicas"] = 1.into();
    object["status"] = deadline["status"].clone();
    let verdict = judge(&object);
    assert!(verdict.starts_with("failed: ProgressDeadlineExceeded: ReplicaSet \"noimage-"), "{verdict}");
}
