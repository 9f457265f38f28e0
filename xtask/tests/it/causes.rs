//! Everything that can be wrong with a workload, side by side in one cluster: each is told by its cause.

use std::collections::BTreeMap;

use axum::{Router, http::StatusCode};
use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, ResourceQuota, Secret},
};
use kube::{
    Api, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use xtask::{
    error::Error,
    manifests::ObjectRef,
    rollout::{self, Cause},
    ui::Step,
};

use crate::{
    delivery::Local,
    registry::Registry,
    rollout::{Pulled, push},
};

/// A Deployment or a Job that will not come up, and why.
struct Case {
    name: &'static str,
    kind: &'static str,
    namespace: &'static str,
    /// What is merged into the workload's own specification.
    spec: Value,
    /// What is merged into the pod's specification.
    pod: Value,
    /// What is merged into the container.
    container: Value,
    cause: Cause,
    /// What the error says somewhere.
    words: &'static [&'static str],
}

/// What the cases need of the world.
struct World<'a> {
    image: &'a str,
    /// Has no image of the name `absent`.
    registry: &'a str,
    /// Wants a password.
    protected: &'a str,
    /// Forbids everything.
    forbidding: &'a str,
}

fn cases(world: &World<'_>) -> Vec<Case> {
    let World { image, registry, protected, forbidding } = world;
    let case = |name, container: Value, cause, words| Case {
        name,
        kind: "Deployment",
        namespace: "causes",
        spec: json!({}),
        pod: json!({}),
        container,
        cause,
        words,
    };
    let crash = json!([{"name": "setup", "image": image, "env": [{"name": "MODE", "value": "crash"}]}]);
    let mode = |mode: &str| json!({"env": [{"name": "MODE", "value": mode}]});
    let reference =
        |name: &str| json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "absent"}}}]});
    let claim = json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    let memory = json!({"env": [{"name": "MODE", "value": "eat"}], "resources": {"limits": {"memory": "24Mi"}}});
    let pull = |registry: &str| json!({"image": format!("{registry}/app:1")});
    let lost = json!({"volumes": [{"name": "lost", "persistentVolumeClaim": {"claimName": "lost"}}]});
    let mounted = json!({"volumeMounts": [{"name": "lost", "mountPath": "/lost"}]});
    let cpu = json!({"resources": {"requests": {"cpu": "4000"}}});
    vec![
        case("image", json!({"image": format!("{registry}/absent:1")}), Cause::ImageMissing, &["absent:1"]),
        case("crash", mode("crash"), Cause::CrashLoop, &["exits with code 78", "MODE must be serve"]),
        case("memory", memory, Cause::OutOfMemory, &["memory"]),
        case("command", json!({"command": ["/absent"]}), Cause::WrongCommand, &["/absent"]),
        case("secret", reference("nowhere"), Cause::MissingConfiguration, &["nowhere"]),
        case("key", reference("there"), Cause::MissingConfiguration, &["absent"]),
        case("room", cpu, Cause::Unschedulable, &["cpu"]),
        Case { pod: json!({"initContainers": crash}), ..case("init", json!({}), Cause::InitFailed, &["setup", "78"]) },
        Case {
            pod: json!({"nodeSelector": {"disk": "gold"}}),
            ..case("node", json!({}), Cause::NoSuchNode, &["kubectl get nodes --show-labels"])
        },
        case("unknown", pull(protected), Cause::RegistryRefused, &["app:1", "imagePullSecret"]),
        case("forbidden", pull(forbidding), Cause::RegistryRefused, &["app:1", "imagePullSecret"]),
        Case {
            pod: json!({"tolerations": []}),
            ..case("taint", json!({}), Cause::Tainted, &["untolerated taint", "add a toleration"])
        },
        Case { pod: lost, ..case("mount", mounted, Cause::VolumeMount, &["/absent-on-this-node", "volume"]) },
        Case {
            spec: json!({"minReadySeconds": 1, "progressDeadlineSeconds": 5}),
            pod: json!({"schedulerName": "nobody"}),
            ..case("progress", json!({}), Cause::ProgressDeadline, &["timed out progressing"])
        },
        Case {
            kind: "Job",
            spec: json!({"backoffLimit": 1}),
            ..case("backoff", mode("crash"), Cause::JobFailed, &["78", "MODE must be serve"])
        },
        Case {
            kind: "Job",
            spec: json!({"activeDeadlineSeconds": 3}),
            ..case("deadline", mode("serve"), Cause::JobDeadline, &["DeadlineExceeded", "raise activeDeadlineSeconds"])
        },
        Case { pod: claim, ..case("claim", json!({}), Cause::ClaimPending, &["PersistentVolumeClaim"]) },
        Case {
            namespace: "causes-limited",
            ..case("quota", json!({}), Cause::QuotaExceeded, &["exceeded quota: none", "kubectl describe quota"])
        },
        Case {
            namespace: "causes-strict",
            ..case("policy", json!({}), Cause::AdmissionDenied, &["violates PodSecurity", "allowPrivilegeEscalation"])
        },
    ]
}

#[tokio::test]
async fn each_failure_is_told_by_its_cause() {
    let mut pulled = Pulled(String::new());
    let local = Local::new().await;
    let image = push(&local);
    image.clone_into(&mut pulled.0);
    let registry = image.split('/').next().expect("a registry").to_owned();
    for name in ["causes", "causes-limited"] {
        create::<Namespace>(Api::all(local.client.clone()), json!({"metadata": {"name": name}})).await;
    }
    let strict =
        json!({"metadata": {"name": "causes-strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    create::<Namespace>(Api::all(local.client.clone()), strict).await;
    let none = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    create::<ResourceQuota>(Api::namespaced(local.client.clone(), "causes-limited"), none).await;
    let there = json!({"metadata": {"name": "there"}, "stringData": {"present": "1"}});
    create::<Secret>(Api::namespaced(local.client.clone(), "causes"), there).await;
    let data = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "of-nobody", "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}}}});
    create::<PersistentVolumeClaim>(Api::namespaced(local.client.clone(), "causes"), data).await;

    reserve_the_node(&local).await;
    lose_a_volume(&local).await;
    let protected = Registry::start(true);
    let forbidding = forbid().await;
    let world = World {
        image: &image,
        registry: &registry,
        protected: &protected.address.to_string(),
        forbidding: &forbidding,
    };

    let cases = cases(&world);
    let told = join_all(cases.iter().map(|case| told(&local, &image, case))).await;
    let mut wrong = BTreeMap::new();
    for (case, error) in cases.iter().zip(told) {
        let cause = error.diagnosis.as_ref().map(|diagnosis| diagnosis.cause);
        let said = format!("{error} hint: {}", error.hint.as_deref().unwrap_or_default());
        let silent: Vec<_> = case.words.iter().filter(|word| !said.contains(**word)).collect();
        if cause != Some(case.cause) || !silent.is_empty() || error.hint.is_none() {
            wrong.insert(case.name, format!("{cause:?}, not said: {silent:?}, in: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Keeps pods off the only node, unless they tolerate it.
async fn reserve_the_node(local: &Local) {
    let nodes: Api<Node> = Api::all(local.client.clone());
    let node = nodes.list(&ListParams::default()).await.expect("the server answers").items.remove(0);
    let taint = json!({"spec": {"taints": [{"key": "reserved", "value": "others", "effect": "NoSchedule"}]}});
    let name = node.metadata.name.expect("it has a name");
    nodes.patch(&name, &PatchParams::default(), &Patch::Merge(taint)).await.expect("it is patched");
}

/// A claim that is bound to a folder which the node does not have.
async fn lose_a_volume(local: &Local) {
    let volume = json!({"metadata": {"name": "lost"}, "spec": {"storageClassName": "by-hand", "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/absent-on-this-node", "type": "Directory"}}});
    create::<PersistentVolume>(Api::all(local.client.clone()), volume).await;
    let claim = json!({"metadata": {"name": "lost"}, "spec": {"storageClassName": "by-hand", "volumeName": "lost",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    create::<PersistentVolumeClaim>(Api::namespaced(local.client.clone(), "causes"), claim).await;
}

/// A registry that forbids everything, in the form of the distribution-spec; returns its address.
async fn forbid() -> String {
    let refusal = r#"{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}"#;
    let answer = move || async move { (StatusCode::FORBIDDEN, [("content-type", "application/json")], refusal) };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

/// Makes the workload and waits until it is given up.
async fn told(local: &Local, image: &str, case: &Case) -> Error {
    let mut container = json!({"name": "app", "image": image});
    merge(&mut container, &case.container);
    // The node keeps off whoever does not tolerate it.
    let mut pod = json!({"terminationGracePeriodSeconds": 1, "containers": [container],
        "tolerations": [{"operator": "Exists"}]});
    merge(&mut pod, &case.pod);
    let labels = json!({"app": case.name});
    let (name, namespace) = (case.name, case.namespace);
    if case.kind == "Job" {
        pod["restartPolicy"] = "Never".into();
        let mut job =
            json!({"metadata": {"name": name}, "spec": {"template": {"metadata": {"labels": labels}, "spec": pod}}});
        merge(&mut job["spec"], &case.spec);
        create::<Job>(Api::namespaced(local.client.clone(), namespace), job).await;
    } else {
        // Without a probe a container counts as ready until it ends.
        let mut deployment = json!({"metadata": {"name": name}, "spec": {"minReadySeconds": 5, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod}}});
        merge(&mut deployment["spec"], &case.spec);
        create::<Deployment>(Api::namespaced(local.client.clone(), namespace), deployment).await;
    }
    let object = ObjectRef {
        api_version: if case.kind == "Job" { "batch/v1" } else { "apps/v1" }.into(),
        kind: case.kind.into(),
        namespace: Some(namespace.into()),
        name: name.into(),
    };
    let waited = rollout::wait(&local.client, local.unit(), &[object], &Step::silent()).await;
    waited.expect_err(name)
}

async fn create<K>(api: Api<K>, object: Value)
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object = serde_json::from_value(object).expect("it is such an object");
    api.create(&PostParams::default(), &object).await.expect("it is created");
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().expect("a mapping") {
        into[key] = value.clone();
    }
}
