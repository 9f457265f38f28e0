//! StatefulSets and DaemonSets, with a node that only says that its pods run.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, StatefulSet},
    core::v1::Pod,
};
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    controllers::{Cluster, eventually},
    fake_node::Behaviour,
};

fn set(policy: &str) -> Value {
    json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3, "serviceName": "db", "podManagementPolicy": policy,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "none"}]},
            },
        },
    })
}

async fn roll(cluster: &Cluster, version: u32) {
    let environment = json!([{"name": "V", "value": version.to_string()}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": environment}]}}}});
    cluster.api::<StatefulSet>().patch("db", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
}

/// Waits until the set as it is now has come to its end.
async fn rolled(cluster: &Cluster) {
    let api = cluster.api::<StatefulSet>();
    eventually("the set is updated", async || {
        let set = api.get("db").await.unwrap();
        let status = set.status.unwrap_or_default();
        status.observed_generation == set.metadata.generation
            && status.current_revision == status.update_revision
            && (status.replicas, status.ready_replicas, status.available_replicas) == (3, Some(3), Some(3))
    })
    .await;
}

fn is_there(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateful_set_replaces_one_pod_at_a_time_under_its_name() {
    let behaviour = Behaviour { start: Duration::from_millis(30), stop: Duration::from_millis(30) };
    let cluster = Cluster::start(behaviour).await;
    let control = cluster.control();
    cluster.create::<StatefulSet>(set("OrderedReady")).await;
    rolled(&cluster).await;
    let before: Vec<_> = cluster.pods().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(before, ["db-0", "db-1", "db-2"]);
    roll(&cluster, 2).await;
    let watching = async {
        loop {
            let there = cluster.pods().await.into_iter().filter(is_there).count();
            assert!(there >= 2, "{there} pods of three");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = rolled(&cluster) => {}
    }
    let revisions = cluster.api::<ControllerRevision>();
    let numbers = async || {
        let mut all: Vec<_> = revisions.list(&ListParams::default()).await.unwrap().items;
        all.sort_by_key(|one| one.revision);
        all
    };
    let all = numbers().await;
    assert_eq!(all.iter().map(|one| one.revision).collect::<Vec<_>>(), [1, 2]);
    // What `kubectl rollout undo` sends.
    let back = all[0].data.clone().unwrap().0;
    cluster.api::<StatefulSet>().patch("db", &PatchParams::default(), &Patch::Strategic(back)).await.unwrap();
    rolled(&cluster).await;
    let all = numbers().await;
    assert_eq!(all.iter().map(|one| one.revision).collect::<Vec<_>>(), [2, 3], "the first is the newest again");
    control.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_a_stateful_set_converges() {
    for policy in ["OrderedReady", "Parallel"] {
        let behaviour = Behaviour { start: Duration::from_millis(5), stop: Duration::from_millis(5) };
        let cluster = Cluster::start(behaviour).await;
        cluster.create::<StatefulSet>(set(policy)).await;
        let mut random = StdRng::seed_from_u64(11);
        for life in 0..20 {
            let control = cluster.control();
            if life % 5 == 4 {
                roll(&cluster, life).await;
            }
            let until = Instant::now() + Duration::from_millis(random.random_range(1..150));
            while Instant::now() < until {
                assert!(cluster.pods().await.len() <= 3);
                tokio::task::yield_now().await;
            }
            control.abort();
            let _ = control.await;
            // Requests under way would die with the process; this server lives on and ends them.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let control = cluster.control();
        rolled(&cluster).await;
        let revisions = cluster.api::<ControllerRevision>().list(&ListParams::default()).await.unwrap().items;
        assert_eq!(revisions.len(), 5, "one for each template");
        control.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_a_daemon_set_has_one_pod_on_the_node() {
    let behaviour = Behaviour { start: Duration::from_millis(5), stop: Duration::from_millis(5) };
    let cluster = Cluster::start(behaviour).await;
    let mut agent = set("");
    agent["spec"] = json!({"selector": agent["spec"]["selector"], "template": agent["spec"]["template"]});
    cluster.create::<DaemonSet>(agent).await;
    let api = cluster.api::<DaemonSet>();
    let mut random = StdRng::seed_from_u64(13);
    for life in 0..20 {
        let control = cluster.control();
        if life % 5 == 4 {
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {"life": life.to_string()}}}}});
            api.patch("db", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
        }
        let until = Instant::now() + Duration::from_millis(random.random_range(1..150));
        while Instant::now() < until {
            let there = cluster.pods().await.into_iter().filter(is_there).count();
            assert!(there <= 1, "{there} pods");
            tokio::task::yield_now().await;
        }
        control.abort();
        let _ = control.await;
        // Requests under way would die with the process; this server lives on and ends them.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let control = cluster.control();
    eventually("the set is updated", async || {
        let set = api.get("db").await.unwrap();
        let status = set.status.unwrap_or_default();
        status.observed_generation == set.metadata.generation
            && (status.desired_number_scheduled, status.number_ready) == (1, 1)
            && (status.updated_number_scheduled, status.number_available) == (Some(1), Some(1))
    })
    .await;
    assert_eq!(cluster.pods().await.len(), 1);
    control.abort();
}
