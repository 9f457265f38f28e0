//! A node that runs nothing: it says of every pod bound to it that it runs, and lets deleted pods go.

use std::{collections::HashSet, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;

/// How the pods of a node behave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// How long a pod takes to become ready.
    pub(crate) start: Duration,
    /// How long a deleted pod goes on.
    pub(crate) stop: Duration,
}

/// Registers the node and runs its pods until dropped. A pod with the annotation `test/broken` never becomes ready.
pub(crate) async fn run(client: Client, name: &'static str, behaviour: Behaviour) {
    let nodes: Api<Node> = Api::all(client.clone());
    let room = json!({"cpu": "8", "memory": "16Gi", "pods": "500", "ephemeral-storage": "100Gi"});
    let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
    let _ = nodes.create(&PostParams::default(), &serde_json::from_value(node).expect("a node")).await;
    let status = json!({"status": {"capacity": room, "allocatable": room}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("the node takes its status");

    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).default_backoff().applied_objects();
    let mut pods = std::pin::pin!(pods);
    let (mut started, mut stopped) = (HashSet::new(), HashSet::new());
    let mut tasks = tokio::task::JoinSet::new();
    let mut address = 0_u32;
    while let Some(pod) = pods.next().await {
        let Ok(pod) = pod else { continue };
        let here = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(name);
        let uid = pod.uid().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        if here && pod.metadata.deletion_timestamp.is_some() && stopped.insert(uid.clone()) {
            let pod_name = pod.name_any();
            tasks.spawn(async move {
                tokio::time::sleep(behaviour.stop).await;
                let _ = api.delete(&pod_name, &DeleteParams::default().grace_period(0)).await;
            });
        } else if here && pod.metadata.deletion_timestamp.is_none() && started.insert(uid) {
            address += 1;
            let ip = format!("10.255.{}.{}", address / 250, address % 250 + 1);
            tasks.spawn(async move {
                tokio::time::sleep(behaviour.start).await;
                let ready = if pod.annotations().contains_key("test/broken") { "False" } else { "True" };
                let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now());
                let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [
                    {"type": "Ready", "status": ready, "lastTransitionTime": now},
                ]}});
                let _ = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(status)).await;
            });
        }
    }
}
