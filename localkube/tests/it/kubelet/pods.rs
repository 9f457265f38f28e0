//! Pods: how they run, fail, restart, are configured, stopped and adopted.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{
    Api,
    api::{DeleteParams, LogParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::cluster::{Cluster, contains, is, state};

const NONE: Value = Value::Null;

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_as_they_were() {
    let cluster = Cluster::start().await;
    let never = json!({"spec": {"restartPolicy": "Never"}});
    cluster.run("fine", &["/test", "say", "hello"], never.clone(), NONE).await;
    cluster.run("bad", &["/test", "fail", "3"], never.clone(), NONE).await;
    cluster.run("fat", &["/test", "eat"], never.clone(), json!({"resources": {"limits": {"memory": "16Mi"}}})).await;
    cluster.run("crash", &["/test", "fail", "4"], NONE, NONE).await;
    cluster.run("nocommand", &["/nonesuch"], never.clone(), NONE).await;
    cluster.run("lastwords", &["/test", "write", "/dev/termination-log", "goodbye"], never.clone(), NONE).await;

    cluster.run("late", &["/test", "sleep"], NONE, NONE).await;

    let fine = cluster.until("fine", "over", |pod| pod["status"]["phase"] == "Succeeded").await;
    assert_eq!(state(&fine)["terminated"]["reason"], "Completed");
    assert_eq!(cluster.logs("fine", false).await, "hello\n");
    let bad = cluster.until("bad", "over", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(state(&bad)["terminated"]["exitCode"], 3);
    assert_eq!(state(&bad)["terminated"]["reason"], "Error");
    let fat = cluster.until("fat", "over", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(state(&fat)["terminated"]["reason"], "OOMKilled");
    assert_eq!(state(&fat)["terminated"]["exitCode"], 137);
    let lastwords = cluster.until("lastwords", "over", |pod| pod["status"]["phase"] == "Succeeded").await;
    assert_eq!(state(&lastwords)["terminated"]["message"], "goodbye");
    // Only once it runs: a deadline that passes while a busy machine still creates it ends it without a container.
    cluster.until("late", "running", |pod| state(pod)["running"].is_object()).await;
    let deadline = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
    cluster.pods().patch("late", &PatchParams::default(), &deadline).await.unwrap();
    let late = cluster.until("late", "over", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(late["status"]["reason"], "DeadlineExceeded");
    let ended = |pod: &Value| state(pod)["terminated"]["exitCode"] == 137;
    cluster.until("late", "stopped", ended).await;
    let nocommand = cluster.until("nocommand", "over", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(state(&nocommand)["terminated"]["reason"], "StartError");
    contains(&state(&nocommand)["terminated"]["message"], "no such file or directory");

    let crash =
        cluster.until("crash", "backing off", |pod| state(pod)["waiting"]["reason"] == "CrashLoopBackOff").await;
    let status = &crash["status"]["containerStatuses"][0];
    let uid = crash["metadata"]["uid"].as_str().unwrap();
    assert_eq!(status["restartCount"], 1, "the first restart is at once");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 4);
    assert_eq!(
        state(&crash)["waiting"]["message"],
        format!("back-off 10s restarting failed container=main pod=crash_default({uid})")
    );
    assert_eq!(crash["status"]["phase"], "Running");
    assert_eq!(cluster.logs("crash", true).await, "failing\n");
    contains(
        &cluster.events("crash", "BackOff").await,
        "Back-off restarting failed container main in pod crash_default",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_pod_from_starting_is_told_and_repaired() {
    let cluster = Cluster::start().await;
    let environment = json!({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "k"}}}]});
    cluster.run("noconfig", &["/test", "show", "$X"], NONE, environment).await;
    cluster.run("noimage", &[], NONE, json!({"image": "127.0.0.1:1/none:1"})).await;
    cluster.run("badname", &[], NONE, json!({"image": "Not/An:image name"})).await;
    cluster.run("never", &[], NONE, json!({"image": "127.0.0.1:1/none:1", "imagePullPolicy": "Never"})).await;
    cluster.run("root", &["/test", "sleep"], json!({"spec": {"securityContext": {"runAsNonRoot": true}}}), NONE).await;

    let waiting = |reason: &'static str| move |pod: &Value| state(pod)["waiting"]["reason"] == reason;
    let noconfig = cluster.until("noconfig", "refused", waiting("CreateContainerConfigError")).await;
    assert_eq!(state(&noconfig)["waiting"]["message"], "configmap \"absent\" not found");
    let noimage = cluster.until("noimage", "backing off", waiting("ImagePullBackOff")).await;
    contains(
        &state(&noimage)["waiting"]["message"],
        "Back-off pulling image \\\"127.0.0.1:1/none:1\\\": ErrImagePull: ",
    );
    contains(&cluster.events("noimage", "Failed").await, "Failed to pull image");
    let badname = cluster.until("badname", "refused", waiting("InvalidImageName")).await;
    contains(&state(&badname)["waiting"]["message"], "invalid reference format");
    cluster.until("never", "refused", waiting("ErrImageNeverPull")).await;
    let root = cluster.until("root", "refused", waiting("CreateContainerConfigError")).await;
    contains(&state(&root)["waiting"]["message"], "container has runAsNonRoot and image will run as root (pod: ");

    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let map = json!({"metadata": {"name": "absent"}, "data": {"k": "here now"}});
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    cluster.until("noconfig", "started", |pod| pod["status"]["containerStatuses"][0]["containerID"].is_string()).await;
    cluster.until("noconfig", "restarted", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    contains(&cluster.logs("noconfig", true).await, "X=here now");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_see_what_the_pod_says() {
    let cluster = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let map = json!({"metadata": {"name": "settings"}, "data": {"color": "blue", "file": "content"}});
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let pod = json!({"spec": {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456, "runAsNonRoot": true},
        "initContainers": [{
            "name": "before", "image": cluster.image, "command": ["/test", "write", "/scratch/note", "from before"],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        }],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "file", "path": "sub/name"}]}},
            {"name": "self", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ],
    }});
    let container = json!({
        "args": ["show", "$COLOR", "$GREETING", "$POD", "$IP", "$LIMIT", "$ALL_color", "$UNSET", "/scratch/note",
                 "/settings/sub/name", "/self/labels", "$(COLOR)"],
        "command": ["/test"],
        "env": [
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
            {"name": "GREETING", "value": "hello $(COLOR) $$(COLOR) $(NONE)"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "UNSET", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": true}}},
        ],
        "envFrom": [{"prefix": "ALL_", "configMapRef": {"name": "settings"}}],
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        "securityContext": {
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"}, {"name": "memory", "mountPath": "/memory"},
            {"name": "settings", "mountPath": "/settings"}, {"name": "self", "mountPath": "/self"},
        ],
    });
    cluster.run("seer", &[], pod, container).await;
    let over = |pod: &Value| ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
    let pod = cluster.until("seer", "over", over).await;
    let main = LogParams { container: Some("main".to_owned()), ..Default::default() };
    let seen = cluster.pods().logs("seer", &main).await.unwrap();
    assert_eq!(pod["status"]["phase"], "Succeeded", "{seen}");
    let ip = pod["status"]["podIP"].as_str().unwrap();
    for line in [
        "COLOR=blue",
        "GREETING=hello blue $(COLOR) $(NONE)",
        "POD=seer",
        &format!("IP={ip}"),
        "LIMIT=64",
        "ALL_color=blue",
        "UNSET=unset",
        "/scratch/note=from before",
        "/settings/sub/name=content",
        "/self/labels=app=\"seer\"",
        "blue: NotFound",
        "Uid: 1234 1234 1234 1234",
        "Gid: 2345 2345 2345 2345",
        "Groups: 2345 3456",
        "CapEff: 0000000000000000",
    ] {
        assert!(seen.lines().any(|seen| seen.trim_end() == line), "{line:?} is not a line of:\n{seen}");
    }
    assert_eq!(pod["status"]["qosClass"], "Burstable", "init containers have no limits");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_and_deletion_is_graceful() {
    let cluster = Cluster::start().await;
    let serve = ["/test", "serve", "x"];
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 8080}, "periodSeconds": 1});
    let began = Instant::now();
    cluster.run("ready", &serve, NONE, json!({"readinessProbe": probe("/"), "startupProbe": probe("/")})).await;
    cluster.until("ready", "ready", |pod| is(pod, "Ready")).await;
    let took = began.elapsed();
    cluster.run("unready", &serve, NONE, json!({"readinessProbe": probe("/missing")})).await;
    let mut dead = probe("/missing");
    dead["failureThreshold"] = 1.into();
    cluster.run("dead", &serve, NONE, json!({"livenessProbe": dead})).await;
    let unready = cluster.until("unready", "running", |pod| state(pod)["running"].is_object()).await;
    assert!(!is(&unready, "Ready"));
    cluster.until("dead", "restarted", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    contains(&cluster.events("dead", "Killing").await, "Container main failed liveness probe, will be restarted");
    contains(
        &cluster.events("unready", "Unhealthy").await,
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    );
    assert!(took < Duration::from_secs(10), "ready after {took:?}");

    // The preStop hook makes the server end by itself, long before the grace is over.
    let hook = json!({"lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": 8080}}}});
    let patient = json!({"spec": {"terminationGracePeriodSeconds": 50}});
    cluster.run("drains", &serve, patient, hook).await;
    cluster.until("drains", "running", |pod| state(pod)["running"].is_object()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for name in ["drains", "ready", "dead"] {
        cluster.pods().delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in ["drains", "ready", "dead"] {
        cluster.until(name, "gone", Value::is_null).await;
    }
    let directory = cluster.directory.join("pods");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1, "only the directory of the pod that is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_adopts_what_runs_and_restarts_what_does_not() {
    let mut cluster = Cluster::start().await;
    for name in ["stays", "dies", "deleted"] {
        cluster.run(name, &["/test", "sleep"], NONE, NONE).await;
    }
    let mut before = Vec::new();
    for name in ["stays", "dies", "deleted"] {
        let pod = cluster.until(name, "running", |pod| is(pod, "Ready")).await;
        before.push(pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap().to_owned());
    }
    cluster.kill_and_restart();
    let engine_id = |id: &str| id.strip_prefix("docker://").unwrap().to_owned();
    cluster.docker.kill_container(&engine_id(&before[1]), None).await.unwrap();
    let dies = cluster
        .until("dies", "restarted", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 1 && state(pod)["running"].is_object()
        })
        .await;
    assert_eq!(dies["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    let stays = cluster.until("stays", "ready", |pod| is(pod, "Ready")).await;
    assert_eq!(stays["status"]["containerStatuses"][0]["containerID"], before[0], "adopted, not replaced");
    assert_eq!(stays["status"]["containerStatuses"][0]["restartCount"], 0);
    cluster.pods().delete("deleted", &DeleteParams::default()).await.unwrap();
    cluster.until("deleted", "gone", Value::is_null).await;
    // Two sandboxes, two running containers, and the dead one for its logs; nothing twice.
    let left = cluster.leftovers();
    assert_eq!(left.len(), 5 + 1 + 1, "with the network and the image: {left:?}");

    let removed = cluster.remove().await;
    assert!(removed.containers >= 5 && removed.networks == 1, "{removed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_namespace_has_comes_back() {
    let cluster = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "default");
    let map = maps.get("kube-root-ca.crt").await.unwrap();
    let account = accounts.get("default").await.unwrap();
    maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    let began = Instant::now();
    loop {
        let (again, other) = tokio::join!(maps.get_opt("kube-root-ca.crt"), accounts.get_opt("default"));
        if let (Some(again), Some(other)) = (again.unwrap(), other.unwrap()) {
            assert_eq!(again.data, map.data);
            assert!(again.metadata.uid != map.metadata.uid && other.metadata.uid != account.metadata.uid);
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "they do not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
