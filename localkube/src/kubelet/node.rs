//! The Node object: registered at the start, Ready as long as the engine answers.

use std::{collections::BTreeMap, time::Duration};

use bollard::models::SystemInfo;
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::api::resource::Quantity};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Kubelet, VERSION, events::seconds};

/// How often the conditions are renewed: as the kubelet does when nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// Between two tries to register.
const RETRY: Duration = Duration::from_millis(200);
/// How many pods the node takes: the kubelet's default.
const PODS: &str = "110";

/// Registers the node and keeps its status up to date.
pub(super) async fn run(kubelet: &Kubelet) {
    let api: Api<Node> = Api::all(kubelet.client.clone());
    let mut connection = kubelet.exits.connection();
    let mut info = None;
    let mut since = Timestamp::now();
    let mut ready = None;
    loop {
        let state = connection.borrow_and_update().clone();
        if state.is_ok()
            && let Ok(answer) = kubelet.docker.info().await
        {
            kubelet.set_allocatable(resources(&answer));
            info = Some(answer);
        }
        if ready != Some(state.is_ok()) {
            ready = Some(state.is_ok());
            since = Timestamp::now();
        }
        let status = status(kubelet, info.as_ref(), &state, since);
        if let Err(error) = write(kubelet, &api, &status).await {
            tracing::debug!(%error, "the node was not written");
            sleep(RETRY).await;
            continue;
        }
        if let Ok(Err(_)) = timeout(HEARTBEAT, connection.changed()).await {
            return;
        }
    }
}

async fn write(kubelet: &Kubelet, api: &Api<Node>, status: &Value) -> Result<(), kube::Error> {
    let name = &kubelet.options.node_name;
    let patch = json!({"status": status});
    match api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 => {}
        result => return result.map(drop),
    }
    let mut node: Node = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture(),
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/arch": architecture(),
            },
        },
        "spec": {},
        "status": status,
    }))
    .expect("written as a Node is");
    node.metadata.labels.get_or_insert_default().extend(kubelet.options.labels.clone());
    match api.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(answer)) if answer.code == 409 => {}
        result => drop(result?),
    }
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
}

/// As Go spells it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn resources(info: &SystemInfo) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(info.ncpu.unwrap_or(1).to_string())),
        ("memory".to_owned(), Quantity(format!("{}Ki", info.mem_total.unwrap_or_default() / 1024))),
        ("pods".to_owned(), Quantity(PODS.to_owned())),
        // The engine doesn't tell; the scheduler needs a number that ordinary requests fit into.
        ("ephemeral-storage".to_owned(), Quantity("100Gi".to_owned())),
        ("hugepages-1Gi".to_owned(), Quantity("0".to_owned())),
        ("hugepages-2Mi".to_owned(), Quantity("0".to_owned())),
    ])
}

fn status(kubelet: &Kubelet, info: Option<&SystemInfo>, state: &Result<(), String>, since: Timestamp) -> Value {
    let now = seconds(Timestamp::now()).to_string();
    let since = seconds(since).to_string();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": since,
        })
    };
    let ready = match state {
        Ok(()) => condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        Err(message) => condition("Ready", "False", "KubeletNotReady", message),
    };
    let mut status = json!({
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ready,
        ],
        "addresses": [
            {"type": "InternalIP", "address": kubelet.options.subnet.host().to_string()},
            {"type": "Hostname", "address": kubelet.options.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
    });
    if let Some(info) = info {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        status["capacity"] = json!(resources(info));
        status["allocatable"] = json!(resources(info));
        status["nodeInfo"] = json!({
            "machineID": text(&info.id),
            "systemUUID": text(&info.id),
            "bootID": text(&info.id),
            "kernelVersion": text(&info.kernel_version),
            "osImage": text(&info.operating_system),
            "containerRuntimeVersion": format!("docker://{}", text(&info.server_version)),
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": text(&info.os_type),
            "architecture": architecture(),
        });
    }
    status
}
