//! What `status` says of a pod, worked out from what is known of its containers
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>). Nothing here does anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, ContainerUser,
    LinuxContainerUser, Pod, PodSpec, ResourceRequirements, VolumeMountStatus,
};
use serde_json::{Value, json};

use super::{events::seconds, security::Identity};

/// What is known of one container.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerView {
    pub(super) state: ContainerState,
    pub(super) last: ContainerState,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) restarts: i32,
    /// `docker://…` of the container that `state` is about, or was.
    pub(super) id: Option<String>,
    /// What the image resolved to; empty before there is one.
    pub(super) image_id: String,
}

/// What is known of one pod.
#[derive(Debug, Clone, Default)]
pub(super) struct PodView {
    pub(super) sandbox: bool,
    pub(super) ip: Option<String>,
    pub(super) start: Option<Timestamp>,
    pub(super) containers: BTreeMap<String, ContainerView>,
    /// All containers have ended, and none will be started again.
    pub(super) over: bool,
    /// Why the kubelet itself ended the pod: reason and message.
    pub(super) refused: Option<(&'static str, String)>,
}

impl ContainerView {
    /// Waiting for a reason.
    pub(super) fn wait(&mut self, reason: &str, message: Option<String>) {
        // What ended stays visible while the next one waits.
        if self.state.terminated.is_some() {
            self.last = std::mem::take(&mut self.state);
        }
        self.state = ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
            ..Default::default()
        };
        self.ready = false;
        self.started = false;
    }

    fn ended(&self) -> Option<&ContainerStateTerminated> {
        self.state.terminated.as_ref()
    }
}

/// Whether an init container goes on beside the others (KEP-753).
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The phase that the containers add up to.
pub(super) fn phase(spec: &PodSpec, view: &PodView) -> &'static str {
    if view.refused.is_some() {
        return "Failed";
    }
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let known = |container: &Container| view.containers.get(&container.name);
    let mut initialised = true;
    for container in spec.init_containers.iter().flatten() {
        let ended = known(container).and_then(|view| view.ended().or(view.last.terminated.as_ref()));
        if is_sidecar(container) {
            initialised &= known(container).is_some_and(|view| view.started);
            continue;
        }
        match ended {
            Some(ended) if ended.exit_code == 0 => {}
            Some(_) if policy == "Never" || view.over => return "Failed",
            _ => initialised = false,
        }
    }
    let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for container in &spec.containers {
        let Some(view) = known(container) else {
            waiting += 1;
            continue;
        };
        let before = view.last.terminated.as_ref().filter(|_| view.state.waiting.is_some());
        if view.state.running.is_some() {
            running += 1;
        } else if let Some(ended) = view.ended().or(before) {
            stopped += 1;
            succeeded += i32::from(ended.exit_code == 0);
        } else {
            waiting += 1;
        }
    }
    if view.over {
        return if stopped > 0 && waiting == 0 && stopped == succeeded { "Succeeded" } else { "Failed" };
    }
    match () {
        () if waiting > 0 || (!initialised && running + stopped == 0) => "Pending",
        () if running > 0 || policy == "Always" => "Running",
        () if stopped == succeeded => "Succeeded",
        () if policy == "Never" => "Failed",
        () => "Running",
    }
}

/// The whole status, as a merge patch of `/status`: what no longer holds is null.
pub(super) fn status(pod: &Pod, view: &PodView, host_ip: &str) -> Value {
    let spec = pod.spec.clone().unwrap_or_default();
    let phase = phase(&spec, view);
    let list = |containers: &[Container]| -> Vec<ContainerStatus> {
        containers.iter().map(|container| container_status(pod, container, view)).collect()
    };
    let ips = view.ip.as_ref().map(|ip| json!([{"ip": ip}]));
    let mut status = json!({
        "observedGeneration": pod.metadata.generation,
        "phase": phase,
        "conditions": conditions(pod, &spec, view, phase),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": view.ip,
        "podIPs": ips,
        "startTime": view.start.map(|start| seconds(start).to_string()),
        "reason": view.refused.as_ref().map(|(reason, _)| *reason),
        "message": view.refused.as_ref().map(|(_, message)| message),
        "containerStatuses": list(&spec.containers),
    });
    if let Some(init) = &spec.init_containers {
        status["initContainerStatuses"] = json!(list(init));
    }
    status
}

fn container_status(pod: &Pod, container: &Container, pod_view: &PodView) -> ContainerStatus {
    let view = pod_view.containers.get(&container.name).cloned().unwrap_or_else(|| {
        let mut view = ContainerView::default();
        view.wait("ContainerCreating", None);
        view
    });
    let mounts = container.volume_mounts.iter().flatten().map(|mount| VolumeMountStatus {
        mount_path: mount.mount_path.clone(),
        name: mount.name.clone(),
        read_only: mount.read_only,
        recursive_read_only: (mount.read_only == Some(true))
            .then(|| mount.recursive_read_only.clone().unwrap_or_else(|| "Disabled".to_owned())),
        ..Default::default()
    });
    let mounts: Vec<VolumeMountStatus> = mounts.collect();
    let made = view.id.is_some();
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        image_id: view.image_id,
        container_id: view.id,
        state: Some(view.state),
        last_state: Some(view.last),
        ready: view.ready,
        started: Some(view.started),
        restart_count: view.restarts,
        resources: made.then(|| resources(container)),
        user: made.then(|| user(pod, container)),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Default::default()
    }
}

fn resources(container: &Container) -> ResourceRequirements {
    let asked = container.resources.clone().unwrap_or_default();
    ResourceRequirements { limits: asked.limits, requests: asked.requests, ..Default::default() }
}

fn user(pod: &Pod, container: &Container) -> ContainerUser {
    let identity = Identity::of(pod, container);
    let gid = identity.group.unwrap_or(0);
    let mut groups = identity.groups;
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    let linux = LinuxContainerUser { uid: identity.user.unwrap_or(0), gid, supplemental_groups: Some(groups) };
    ContainerUser { linux: Some(linux) }
}

/// In the order that the kubelet writes them; conditions of others are kept.
fn conditions(pod: &Pod, spec: &PodSpec, view: &PodView, phase: &str) -> Value {
    let old = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let generation = pod.metadata.generation;
    let condition = |kind: &str, unmet: Option<(&str, Option<String>)>, met_reason: Option<&str>| {
        let status = if unmet.is_none() { "True" } else { "False" };
        let before = old.and_then(|old| old.iter().find(|before| before.type_ == kind));
        let since = before
            .filter(|before| before.status == status)
            .and_then(|before| before.last_transition_time.as_ref().map(|time| time.0))
            .unwrap_or_else(Timestamp::now);
        let mut result = json!({
            "type": kind,
            "status": status,
            "lastProbeTime": null,
            "lastTransitionTime": seconds(since).to_string(),
        });
        if let Some(generation) = generation {
            result["observedGeneration"] = generation.into();
        }
        let (reason, message) = match unmet {
            Some((reason, message)) => (Some(reason), message),
            None => (met_reason, None),
        };
        if let Some(reason) = reason {
            result["reason"] = reason.into();
        }
        if let Some(message) = message {
            result["message"] = message.into();
        }
        result
    };
    let finished = matches!(phase, "Succeeded" | "Failed");
    let done = match phase {
        "Succeeded" => Some(("PodCompleted", None)),
        "Failed" => Some(("PodFailed", None)),
        _ => None,
    };
    let uninitialised = names(spec.init_containers.iter().flatten(), |container| {
        view.containers.get(&container.name).is_some_and(|view| {
            if is_sidecar(container) { view.started } else { view.ended().is_some_and(|ended| ended.exit_code == 0) }
        })
    });
    let started = view.containers.values().any(|view| view.id.is_some());
    let init = if phase == "Succeeded" || uninitialised.is_empty() || finished && started {
        None
    } else {
        Some((
            "ContainersNotInitialized",
            Some(format!("containers with incomplete status: [{}]", uninitialised.join(" "))),
        ))
    };
    let unready = names(spec.containers.iter().chain(sidecars(spec)), |container| {
        view.containers.get(&container.name).is_some_and(|view| view.ready)
    });
    let containers = done.clone().or_else(|| {
        (!unready.is_empty())
            .then(|| ("ContainersNotReady", Some(format!("containers with unready status: [{}]", unready.join(" ")))))
    });
    let gates = spec.readiness_gates.iter().flatten().filter(|gate| {
        !old.is_some_and(|old| old.iter().any(|one| one.type_ == gate.condition_type && one.status == "True"))
    });
    let gates: Vec<String> = gates
        .map(|gate| {
            format!("corresponding condition of pod readiness gate \"{}\" does not exist.", gate.condition_type)
        })
        .collect();
    let ready =
        containers.clone().or_else(|| (!gates.is_empty()).then(|| ("ReadinessGatesNotReady", Some(gates.join(", ")))));
    let met = (phase == "Succeeded").then_some("PodCompleted");
    let sandbox = if view.sandbox { None } else { Some(("", None)) };
    let mut own = vec![
        condition("PodReadyToStartContainers", sandbox, None),
        condition("Initialized", init, met),
        condition("Ready", ready, None),
        condition("ContainersReady", containers, None),
        condition("PodScheduled", None, None),
    ];
    if let Some(first) = own.first_mut().and_then(Value::as_object_mut)
        && first.get("reason").and_then(Value::as_str) == Some("")
    {
        first.remove("reason");
    }
    let known: Vec<String> = own.iter().filter_map(|one| one["type"].as_str().map(str::to_owned)).collect();
    own.extend(old.into_iter().flatten().filter(|one| !known.contains(&one.type_)).map(|one| json!(one)));
    Value::Array(own)
}

fn sidecars(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().filter(|container| is_sidecar(container))
}

fn names<'a>(containers: impl Iterator<Item = &'a Container>, holds: impl Fn(&Container) -> bool) -> Vec<String> {
    containers.filter(|container| !holds(container)).map(|container| container.name.clone()).collect()
}
