//! Why pods do not run, in the shapes in which different clusters and container runtimes say it.

use serde_json::{Value, json};

use super::super::{
    cause::Cause,
    diagnosis, events,
    pods::{self, Doom},
    snapshot::Snapshot,
    state::State,
};
use super::{crashed, deployment, now, pod, reference, running, set};

/// What becomes of a Deployment whose one new pod has a container with this status.
fn fate(container: Value) -> Option<Doom> {
    super::state(vec![pod("new", "app-2", false, container)]).doomed.map(|(_, doom)| doom)
}

fn waiting(reason: &str, message: &str) -> Option<Doom> {
    let image = "r.example/app:1";
    fate(json!({"ready": false, "restartCount": 0, "image": image,
        "state": {"waiting": {"reason": reason, "message": message}}}))
}

fn ended(restarts: u64, last: Value) -> Option<Doom> {
    let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
    fate(json!({"ready": false, "restartCount": restarts, "state": state, "lastState": {"terminated": last}}))
}

fn cause(doom: Option<Doom>) -> Option<Cause> {
    doom.map(|doom| doom.cause)
}

#[test]
fn images_by_what_the_registry_said_in_each_runtimes_words() {
    let containerd = "failed to pull and unpack image \"r.example/app:1\": failed to resolve reference";
    for (reason, message, expected) in [
        ("ErrImagePull", format!("{containerd}: r.example/app:1: not found"), Some(Cause::ImageMissing)),
        ("ErrImagePull", "reading manifest 1 in r.example/app: manifest unknown".into(), Some(Cause::ImageMissing)),
        ("ErrImagePull", "manifest for r.example/app:1 not found: manifest unknown".into(), Some(Cause::ImageMissing)),
        ("InvalidImageName", "couldn't parse image name: invalid reference format".into(), Some(Cause::ImageMissing)),
        ("ErrImageNeverPull", "image is not present with pull policy of Never".into(), Some(Cause::ImageMissing)),
        ("ErrImagePull", format!("{containerd}: failed to authorize: 401 Unauthorized"), Some(Cause::RegistryRefused)),
        (
            "ErrImagePull",
            "Head \"http://r.example/v2/app/manifests/1\": no basic auth credentials".into(),
            Some(Cause::RegistryRefused),
        ),
        ("ErrImagePull", format!("{containerd}: unexpected status: 403 Forbidden"), Some(Cause::RegistryRefused)),
        (
            "ImagePullBackOff",
            "Back-off pulling image: ErrImagePull: pull access denied, repository does not exist".into(),
            Some(Cause::RegistryRefused),
        ),
        ("ErrImagePull", format!("{containerd}: dial tcp 10.0.0.1:443: connect: connection refused"), None),
        ("RegistryUnavailable", "net/http: TLS handshake timeout".into(), None),
        ("ImagePullBackOff", "Back-off pulling image \"r.example/app:1\"".into(), Some(Cause::ImagePull)),
    ] {
        assert_eq!(cause(waiting(reason, &message)), expected, "{reason}: {message}");
    }
}

#[test]
fn a_wrong_command_in_each_runtimes_words() {
    let runc = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                failed: unable to start container process: exec: \"serve\": executable file not found in $PATH";
    let docker = "OCI runtime create failed: exec: \"/serve\": stat /serve: no such file or directory: unknown";
    let crio = "Error: container create failed: executable file `serve` not found in $PATH: No such file or directory";
    for doom in [
        ended(0, json!({"reason": "StartError", "exitCode": 128, "message": runc})),
        ended(0, json!({"reason": "ContainerCannotRun", "exitCode": 127, "message": docker})),
        waiting("RunContainerError", runc),
        waiting("CreateContainerError", crio),
        ended(2, json!({"reason": "Error", "exitCode": 127})),
        ended(0, json!({"reason": "StartError", "exitCode": 128, "message": "exec /serve: exec format error"})),
    ] {
        assert_eq!(cause(doom.clone()), Some(Cause::WrongCommand), "{doom:?}");
    }
    // A runtime that stumbles once is no wrong command.
    let stumbled = json!({"reason": "StartError", "exitCode": 128, "message": "failed to create shim: ttrpc: closed"});
    assert_eq!(cause(ended(0, stumbled.clone())), None);
    assert_eq!(cause(ended(2, stumbled)), Some(Cause::Start));
    // Nor is one whose next run goes on.
    let recovered = json!({"ready": true, "restartCount": 1, "state": {"running": {}},
        "lastState": {"terminated": {"reason": "StartError", "exitCode": 128, "message": runc}}});
    assert_eq!(cause(fate(recovered)), None);
}

#[test]
fn a_crash_or_two_are_forgiven_and_memory_is_told_apart() {
    let late = json!({"ready": false, "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}});
    assert_eq!(cause(fate(late)), None, "it waits for its database and runs now");
    assert_eq!(cause(ended(1, json!({"exitCode": 1, "reason": "Error"}))), None);
    let doom = ended(2, json!({"exitCode": 137, "reason": "OOMKilled"})).expect("it is lost");
    let seen = (doom.cause, doom.reason.as_deref(), doom.exit);
    assert_eq!(seen, (Cause::OutOfMemory, Some("OOMKilled"), Some(137)));
}

#[test]
fn missing_configuration_is_given_the_time_that_it_takes_to_be_made() {
    for message in ["configmap \"a\" not found", "secret \"a\" not found", "couldn't find key k in ConfigMap app/a"] {
        assert_eq!(cause(waiting("CreateContainerConfigError", message)), Some(Cause::MissingConfiguration));
    }
    let root = "container has runAsNonRoot and image will run as root";
    assert_eq!(cause(waiting("CreateContainerConfigError", root)), Some(Cause::Start));
    let young = |age: &str| {
        let status = json!({"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret"}}});
        let mut pod = pod("new", "app-2", false, status);
        pod["metadata"]["creationTimestamp"] = age.into();
        super::state(vec![pod]).doomed.is_some()
    };
    assert!(!young("2026-01-01T00:09:55Z") && young("2026-01-01T00:09:45Z"));
}

#[test]
fn an_init_container_is_called_one() {
    let mut pod =
        pod("new", "app-2", false, json!({"ready": false, "state": {"waiting": {"reason": "PodInitializing"}}}));
    let mut status = crashed(3);
    status["name"] = "migrate".into();
    pod["status"]["initContainerStatuses"] = json!([status]);
    let (_, doom) = super::state(vec![pod]).doomed.expect("it is lost");
    assert_eq!(doom.cause, Cause::InitFailed);
    let sentence = "init container `migrate` in pod new exits with code 78, 3 times (CrashLoopBackOff)";
    assert_eq!(doom.sentence, sentence);
}

#[test]
fn what_the_scheduler_says() {
    for (message, expected) in [
        ("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available", Cause::Unschedulable),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient memory.",
            Cause::Unschedulable,
        ),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", Cause::Tainted),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", Cause::NoSuchNode),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", Cause::ClaimPending),
        ("0/1 nodes are available: persistentvolumeclaim \"data\" not found.", Cause::ClaimPending),
    ] {
        assert_eq!(Cause::of_scheduling(message), expected, "{message}");
    }
}

#[test]
fn what_refuses_pods() {
    let quota = "pods \"app-2-\" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=2, limited: cpu=2";
    for (message, expected) in [
        (quota, Cause::QuotaExceeded),
        ("pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": privileged", Cause::AdmissionDenied),
        ("admission webhook \"policy.example\" denied the request: no", Cause::AdmissionDenied),
        (
            "pods \"a\" is forbidden: error looking up service account app/a: serviceaccount \"a\" not found",
            Cause::MissingConfiguration,
        ),
        ("Pod \"a\" is invalid: spec: wrong", Cause::Refused),
    ] {
        assert_eq!(Cause::of_refusal(message), expected, "{message}");
    }
}

fn event(kind: &str, name: &str, reason: &str, message: &str, first: &str) -> Value {
    json!({"involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message, "type": "Warning",
        "firstTimestamp": first, "lastTimestamp": "2026-01-01T00:09:59Z", "count": 3})
}

#[test]
fn what_only_events_say_counts_when_it_persists() {
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "app", "uid": "s"}, "spec": {"replicas": 1}});
    let snapshot = Snapshot::of(vec![set.clone()]);
    let doom = |first: &str, patient| {
        let message = "create Pod db-0 in StatefulSet db failed: pods \"db-0\" is forbidden: exceeded quota: small";
        let events = [event("StatefulSet", "db", "FailedCreate", message, first)];
        cause(events::doom(&set, &pods::of(&snapshot, &set), &events, now(), patient))
    };
    assert_eq!(doom("2026-01-01T00:09:45Z", true), Some(Cause::QuotaExceeded));
    assert_eq!(doom("2026-01-01T00:09:55Z", true), None, "the quota may be free in a moment");
    assert_eq!(doom("2026-01-01T00:09:55Z", false), Some(Cause::QuotaExceeded), "the time is over");

    let status = json!({"state": {"waiting": {"reason": "ContainerCreating"}}});
    let objects = vec![deployment(), super::set("app-2", "2"), pod("new", "app-2", false, status)];
    let snapshot = Snapshot::of(objects);
    let live = snapshot.get(&reference("Deployment", "app")).expect("it is there");
    for (message, expected) in [
        ("MountVolume.SetUp failed for volume \"v\" : configmap \"a\" not found", Cause::MissingConfiguration),
        (
            "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: k",
            Cause::MissingConfiguration,
        ),
        ("AttachVolume.Attach failed for volume \"v\" : rpc error: code = Internal", Cause::VolumeMount),
    ] {
        let events = [event("Pod", "new", "FailedMount", message, "2026-01-01T00:09:00Z")];
        let doom = events::doom(live, &pods::of(&snapshot, live), &events, now(), true).expect("it persists");
        assert_eq!((doom.cause, doom.pod.as_deref()), (expected, Some("new")), "{message}");
    }
}

#[test]
fn the_probes_last_answer_is_found() {
    let failed = |status: &str| format!("Readiness probe failed: HTTP probe failed with statuscode: {status}\n");
    let events = [
        event("Pod", "new", "Unhealthy", &failed("500"), "2026-01-01T00:09:00Z"),
        event("Pod", "new", "Unhealthy", &failed("503"), "2026-01-01T00:09:00Z"),
        event("Pod", "other", "Unhealthy", &failed("404"), "2026-01-01T00:09:00Z"),
    ];
    assert_eq!(events::probe(&events, "new").as_deref(), Some(failed("503").trim()));
    assert_eq!(events::lines(events.iter()).len(), 3);
}

#[test]
fn evictions_and_nodes_that_are_gone() {
    let mut evicted = pod("new", "app-2", false, running());
    evicted["status"]["phase"] = "Failed".into();
    evicted["status"]["reason"] = "Evicted".into();
    evicted["status"]["message"] =
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi.".into();
    let snapshot = Snapshot::of(vec![deployment(), set("app-2", "2"), evicted.clone()]);
    let live = snapshot.get(&reference("Deployment", "app")).expect("it is there");
    let doom = pods::suspect(&pods::of(&snapshot, live)).expect("it is not ready");
    assert_eq!(doom.cause, Cause::Evicted);
    let sentence = "pod new was evicted (Evicted): Pod ephemeral local storage usage exceeds the total limit of \
                    containers 1Mi.";
    assert_eq!(doom.sentence, sentence);

    let node = |status: &str| {
        json!({"metadata": {"name": "node-1"}, "status": {"conditions": [{"type": "Ready", "status": status,
            "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}]}})
    };
    let mut leaving = pod("old", "app-1", false, running());
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let lost = diagnosis::node_lost(&leaving, &node("Unknown")).expect("its node is gone");
    let sentence = "pod old cannot end: its node node-1 is not ready (NodeStatusUnknown): Kubelet stopped posting node \
                    status.";
    assert_eq!((lost.cause, lost.sentence.as_str()), (Cause::NodeLost, sentence));
    assert_eq!(diagnosis::node_lost(&leaving, &node("True")), None);
}

#[test]
fn jobs_fail_by_their_own_count() {
    let job = |policy: &str, conditions: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": "app", "uid": "j"},
            "spec": {"backoffLimit": 2, "template": {"spec": {"restartPolicy": policy}}},
            "status": {"conditions": conditions}})
    };
    let doom = |job: Value, pod: Value| {
        let object = crate::plan::ObjectRef { api_version: "batch/v1".into(), ..reference("Job", "migrate") };
        State::of(&Snapshot::of(vec![job, pod]), &[object], now()).doomed.map(|(_, doom)| doom)
    };
    let none = || json!([]);
    // Its pods may fail as long as the Job makes new ones.
    let mut failed = pod(
        "migrate-1",
        "j",
        false,
        json!({"ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}),
    );
    failed["status"]["phase"] = "Failed".into();
    assert_eq!(cause(doom(job("Never", none()), failed.clone())), None);
    let over = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has"}]);
    let lost = doom(job("Never", over), failed.clone()).expect("it has failed");
    let sentence = "container `app` in pod migrate-1 exits with code 3 (BackoffLimitExceeded)";
    assert_eq!((lost.cause, lost.sentence.as_str(), lost.exit), (Cause::JobFailed, sentence, Some(3)));
    // With restarts in place the Job's end takes the pod and its log away: it is looked at while it is there.
    assert_eq!(cause(doom(job("OnFailure", none()), pod("migrate-1", "j", false, crashed(1)))), None);
    let lost = doom(job("OnFailure", none()), pod("migrate-1", "j", false, crashed(2))).expect("one more is the end");
    assert_eq!((lost.cause, lost.container.as_deref()), (Cause::CrashLoop, Some("app")));
    let late = json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active"}]);
    let lost = doom(job("Never", late), pod("migrate-1", "j", false, running())).expect("it has failed");
    assert_eq!((lost.cause, lost.sentence.as_str()), (Cause::JobDeadline, "DeadlineExceeded: Job was active"));
}

#[test]
fn recorded_pods_are_told_apart() {
    let doom = |status: Value| {
        let mut pod = pod("new", "app-2", false, json!({}));
        pod["status"] = status;
        let objects = vec![deployment(), set("app-2", "2"), pod];
        let snapshot = Snapshot::of(objects);
        let live = snapshot.get(&reference("Deployment", "app")).expect("it is there");
        pods::suspect(&pods::of(&snapshot, live)).expect("it is not ready")
    };
    let of = super::conditions::recorded;
    let crash = doom(of("crash-loop")["status"].clone());
    assert_eq!(
        (crash.cause, crash.reason.as_deref(), crash.exit),
        (Cause::CrashLoop, Some("CrashLoopBackOff"), Some(3))
    );
    let image = doom(of("bad-image-back-off")["items[0].status"].clone());
    assert_eq!((image.cause, image.reason.as_deref()), (Cause::ImagePull, Some("ImagePullBackOff")));
    assert_eq!(doom(of("not-ready-pod")["items[0].status"].clone()).cause, Cause::Unready);
    assert_eq!(doom(of("unschedulable-status")["status"].clone()).cause, Cause::NoSuchNode);
    let missing = json!({"phase": "Pending", "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0,
        "state": of("config-missing-status")["status.containerStatuses[0].state"]}]});
    assert_eq!(doom(missing).cause, Cause::MissingConfiguration);
}
