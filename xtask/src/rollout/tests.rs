use std::path::PathBuf;

use serde_json::{Value, json};

use super::{readiness::Readiness, *};
use crate::config::Environment;

const DEPLOYMENT: &str = "apps/v1";

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().expect("a timestamp")
}

/// A Deployment of three in the middle of a rollout: revision 2, generation seen.
fn deployment() -> Value {
    json!({"apiVersion": DEPLOYMENT, "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "app", "uid": "d", "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "readyReplicas": 3,
            "availableReplicas": 3, "conditions": [
                {"type": "Available", "status": "True"},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]}})
}

fn set(name: &str, revision: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "app", "uid": name, "ownerReferences": [{"uid": "d"}],
            "annotations": {"deployment.kubernetes.io/revision": revision}}})
}

fn pod(name: &str, set: &str, ready: bool, container: Value) -> Value {
    let mut container = container;
    container["name"] = "app".into();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "app", "uid": name, "ownerReferences": [{"uid": set}]},
        "status": {"phase": "Running", "containerStatuses": [container], "conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
}

fn running() -> Value {
    json!({"ready": true, "restartCount": 0, "state": {"running": {}}})
}

fn crashed(times: u64) -> Value {
    json!({"ready": false, "restartCount": times - 1, "lastState": {"terminated": {"exitCode": 78, "reason": "Error"}},
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}})
}

fn reference(kind: &str, name: &str) -> ObjectRef {
    let api_version = match kind {
        "Deployment" => "apps/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        _ => "v1",
    };
    ObjectRef { api_version: api_version.into(), kind: kind.into(), namespace: Some("app".into()), name: name.into() }
}

/// Three old pods that are ready, and these new ones.
fn state(new: Vec<Value>) -> State {
    let old = (0..3).map(|index| pod(&format!("old-{index}"), "app-1", true, running()));
    let mut objects = vec![deployment(), set("app-1", "1"), set("app-2", "2")];
    objects.extend(old.chain(new));
    State::of(&Snapshot::of(objects), &[reference("Deployment", "app")], now())
}

#[track_caller]
fn doomed(state: State, cause: Cause, sentence: &str) {
    let (_, doom) = state.doomed.expect("it is doomed");
    assert_eq!((doom.cause, doom.sentence.as_str()), (cause, sentence));
}

#[test]
fn a_rollout_says_how_many_are_new_and_how_many_still_serve() {
    let state = state(vec![pod("new", "app-2", false, json!({"state": {"running": {}}}))]);
    assert!(state.doomed.is_none());
    assert_eq!(state.progress, "0 of 3 new pods ready, 3 old ones still serve");
    assert_eq!(state.waiting[0].1, "1 of 3 new pods made");
}

#[test]
fn three_crashes_of_a_new_pod_are_the_end() {
    assert!(state(vec![pod("new", "app-2", false, crashed(2))]).doomed.is_none());
    doomed(
        state(vec![pod("new", "app-2", false, crashed(3))]),
        Cause::CrashLoop,
        "container `app` in pod new exits with code 78, 3 times (CrashLoopBackOff)",
    );
    // Crashes of an old pod are not the new version's fault.
    assert!(state(vec![pod("sick", "app-1", false, crashed(9))]).doomed.is_none());
}

#[test]
fn one_lost_pod_is_forgiven_once_another_is_ready() {
    let good = || pod("good", "app-2", true, running());
    assert!(state(vec![good(), pod("new", "app-2", false, crashed(3))]).doomed.is_none());
    let two = vec![good(), pod("a", "app-2", false, crashed(3)), pod("b", "app-2", false, crashed(3))];
    assert!(state(two).doomed.is_some());
}

#[test]
fn every_way_to_be_doomed_has_its_sentence() {
    let waiting = |reason: &str, message: &str| {
        let container = json!({"ready": false, "restartCount": 0, "image": "r/app@sha256:1",
            "state": {"waiting": {"reason": reason, "message": message}}});
        state(vec![pod("new", "app-2", false, container)])
    };
    doomed(
        waiting("ImagePullBackOff", "Back-off pulling image"),
        Cause::ImagePull,
        "container `app` in pod new cannot pull r/app@sha256:1 (ImagePullBackOff): Back-off pulling image",
    );
    assert!(waiting("ErrImagePull", "connection reset").doomed.is_none());
    assert!(waiting("ErrImagePull", "manifest unknown").doomed.is_some());
    assert!(waiting("ContainerCreating", "").doomed.is_none());
    doomed(
        waiting("CreateContainerConfigError", "configmap \"settings\" not found"),
        Cause::MissingConfiguration,
        "container `app` in pod new cannot be created (CreateContainerConfigError): configmap \"settings\" not found",
    );
    let killed = json!({"ready": false, "restartCount": 3, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
    doomed(
        state(vec![pod("new", "app-2", false, killed)]),
        Cause::OutOfMemory,
        "container `app` in pod new runs out of memory, 3 times (OOMKilled)",
    );
}

#[test]
fn a_pod_that_finds_no_node_is_given_time() {
    let unschedulable = |since: &str| {
        let mut pod = pod("new", "app-2", false, json!({"state": {"waiting": {}}}));
        pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": since}]);
        state(vec![pod])
    };
    assert!(unschedulable("2026-01-01T00:09:30Z").doomed.is_none());
    doomed(
        unschedulable("2026-01-01T00:09:00Z"),
        Cause::Unschedulable,
        "pod new fits on no node: 0/1 nodes are available: 1 Insufficient cpu.",
    );
}

#[test]
fn pods_that_are_refused_are_told() {
    let mut deployment = deployment();
    let conditions = deployment["status"]["conditions"].as_array_mut().expect("a list");
    conditions.push(json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"app-2-\" is forbidden: violates PodSecurity", "lastTransitionTime": "2026-01-01T00:09:00Z"}));
    let snapshot = Snapshot::of(vec![deployment, set("app-2", "2")]);
    doomed(
        State::of(&snapshot, &[reference("Deployment", "app")], now()),
        Cause::AdmissionDenied,
        "its pods are refused: pods \"app-2-\" is forbidden: violates PodSecurity",
    );
}

#[test]
fn the_progress_deadline_points_at_the_pod_that_is_not_ready() {
    let mut deployment = deployment();
    deployment["status"]["conditions"][1] = json!({"type": "Progressing", "status": "False",
        "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"app-2\" has timed out progressing."});
    let container = json!({"ready": false, "restartCount": 0, "state": {"running": {}}});
    let objects = vec![deployment.clone(), set("app-2", "2"), pod("new", "app-2", false, container)];
    let state = |objects| State::of(&Snapshot::of(objects), &[reference("Deployment", "app")], now());
    doomed(state(objects), Cause::Unready, "container `app` in pod new runs but is not ready");
    doomed(
        state(vec![deployment]),
        Cause::ProgressDeadline,
        "ProgressDeadlineExceeded: ReplicaSet \"app-2\" has timed out progressing.",
    );
}

#[test]
fn the_rollout_before_does_not_satisfy() {
    let mut done = deployment();
    done["status"]["updatedReplicas"] = 3.into();
    done["status"]["replicas"] = 3.into();
    done["status"]["conditions"][1]["reason"] = "NewReplicaSetAvailable".into();
    assert_eq!(readiness::of(&done), Readiness::Ready);
    done["metadata"]["generation"] = 3.into();
    let waiting = Readiness::Waiting("its controller has not looked at the change yet".into());
    assert_eq!(readiness::of(&done), waiting);
}

#[test]
fn a_deployment_is_ready_last_of_all_by_its_conditions() {
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut object = deployment();
        object["status"] = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
            "availableReplicas": 3, "conditions": [{"type": "Available", "status": "True"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]});
        edit(&mut object);
        match readiness::of(&object) {
            Readiness::Ready => "ready".to_owned(),
            Readiness::Waiting(what) => what,
            Readiness::Failed(why) => format!("failed: {why}"),
        }
    };
    assert_eq!(with(&|_| {}), "ready");
    for (field, value, expected) in [
        ("updatedReplicas", 2, "2 of 3 new pods made"),
        ("replicas", 5, "2 old pods still to end"),
        ("readyReplicas", 1, "1 of 3 new pods ready"),
        ("availableReplicas", 2, "2 of 3 new pods available"),
    ] {
        assert_eq!(with(&|object| object["status"][field] = value.into()), expected);
    }
    let progressing = |object: &mut Value| object["status"]["conditions"][1]["reason"] = "ReplicaSetUpdated".into();
    assert_eq!(with(&progressing), "its controller to call it complete");
    let unavailable = |object: &mut Value| object["status"]["conditions"][0]["status"] = "False".into();
    assert_eq!(with(&unavailable), "its controller to call it available");
    let paused = |object: &mut Value| {
        object["spec"]["paused"] = true.into();
        object["status"]["updatedReplicas"] = 0.into();
    };
    assert_eq!(with(&paused), "failed: it is paused: kubectl rollout resume");
}

#[test]
fn other_kinds_by_their_own_rules() {
    let judge = |object: Value| match readiness::of(&object) {
        Readiness::Ready => "ready".to_owned(),
        Readiness::Waiting(what) => what,
        Readiness::Failed(why) => format!("failed: {why}"),
    };
    for (object, expected) in [
        (json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}}), "ready"),
        (
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}),
            "an address from the load balancer",
        ),
        (
            json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": "Failed", "status": "True",
                "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}]}}),
            "failed: BackoffLimitExceeded: Job has reached the specified backoff limit",
        ),
        (
            json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"completions": 2}, "status": {"succeeded": 1}}),
            "1 of 2 completions",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 2}, "status": {"replicas": 2,
                "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"}}),
            "1 of 2 pods updated",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "status": {"desiredNumberScheduled": 2,
                "currentNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1, "numberReady": 1}}),
            "1 of 2 pods available",
        ),
        (
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}),
            "the API server to serve it",
        ),
        (
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"generation": 2},
                "status": {"observedGeneration": 1}}),
            "its controller has not looked at the change yet",
        ),
        (
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "status": {"conditions": [
                {"type": "Stalled", "status": "True", "reason": "Broken"}]}}),
            "failed: Broken",
        ),
        (json!({"apiVersion": "example.com/v1", "kind": "Thing"}), "ready"),
        (
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 2}}),
            "1 of 2 pods healthy",
        ),
    ] {
        assert_eq!(judge(object.clone()), expected, "{object}");
    }
}

#[test]
fn fewer_pods_than_the_autoscalers_minimum_are_not_enough() {
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app", "namespace": "app"},
        "spec": {"minReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}}});
    let mut deployment = deployment();
    deployment["spec"]["replicas"] = 1.into();
    let objects = [reference("HorizontalPodAutoscaler", "app")];
    let state = State::of(&Snapshot::of(vec![autoscaler, deployment]), &objects, now());
    assert_eq!(state.progress, "HorizontalPodAutoscaler app/app waits for its target to go from 1 to 3 pods");
}

#[test]
fn a_diagnosis_reads_like_an_answer_and_is_json() {
    let environment = Environment::example("staging", PathBuf::new());
    let unit = environment.unit(None).expect("it has one service");
    let diagnosis = Diagnosis {
        cause: Cause::CrashLoop,
        object: reference("Deployment", "app"),
        pod: Some("new".into()),
        container: Some("app".into()),
        reason: Some("CrashLoopBackOff".into()),
        exit_code: Some(78),
        sentence: "container `app` in pod new exits with code 78, 3 times (CrashLoopBackOff)".into(),
        probe: None,
        log: vec!["no such port".into()],
        events: vec!["BackOff (x3): Back-off restarting".into()],
    };
    let error = diagnosis.clone().into_error("rollout of", unit, Some(3));
    let message = "rollout of Deployment app/app: container `app` in pod new exits with code 78, 3 times \
                   (CrashLoopBackOff)";
    assert_eq!(error.message, message);
    let causes = ["its last lines:\n  no such port", "its events:\n  BackOff (x3): Back-off restarting"];
    assert_eq!(error.causes[..2], causes);
    assert_eq!(error.causes[2], "3 old pods still serve");
    assert_eq!(error.hint.as_deref(), Some("more of its log: cargo xtask logs --env staging --previous"));
    assert_eq!(
        serde_json::to_value(&error.diagnosis).expect("it is JSON"),
        json!({"cause": "crash-loop", "pod": "new", "container": "app", "reason": "CrashLoopBackOff", "exitCode": 78,
            "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "app", "name": "app"},
            "sentence": diagnosis.sentence, "probe": null, "log": ["no such port"],
            "events": ["BackOff (x3): Back-off restarting"]})
    );
}

mod causes;
mod conditions;
