//! A pod's container as the engine takes it. Nothing here does anything.

use std::{collections::HashMap, path::Path};

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements, SecurityContext};
use sha2::{Digest, Sha256};

use super::{
    Options,
    environment::{self, Variables},
    images::Image,
    names, quantity,
    sandbox::{Labels, Sandbox},
    security::Identity,
};

/// How much of a container's log is kept: as the kubelet rotates it.
const LOG: (&str, &str) = ("10m", "5");
/// `cpu.shares` of one CPU, and the least the kernel takes.
const SHARES: (i64, i64) = (1024, 2);

/// What a container is made of besides its specification.
pub(super) struct Parts<'a> {
    pub(super) options: &'a Options,
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) image: &'a Image,
    pub(super) sandbox: &'a Sandbox,
    pub(super) attempt: i32,
    pub(super) variables: &'a Variables,
    pub(super) mounts: Vec<Mount>,
    /// The host's file that shows up as `terminationMessagePath`.
    pub(super) message: &'a Path,
}

/// The labels of a pod's containers.
pub(super) fn labels(options: &Options, pod: &Pod, role: &str) -> Labels {
    let mut labels = names::labels(&options.cluster_id, &options.directory, role);
    labels.insert(names::POD_UID.to_owned(), names::uid(pod).to_owned());
    labels.insert(names::POD_NAME.to_owned(), names::name(pod).to_owned());
    labels.insert(names::POD_NAMESPACE.to_owned(), names::namespace(pod).to_owned());
    labels
}

/// Tells whether a running container is still what the pod asks for. Only the image may change in a pod's life.
pub(super) fn hash(container: &Container) -> String {
    hex::encode(&Sha256::digest(format!("{}\n{}", container.name, container.image.as_deref().unwrap_or_default()))[..8])
}

/// The log driver whose files `logs` can follow, whatever the engine's default.
pub(super) fn log_config() -> HostConfigLogConfig {
    let options = HashMap::from([("max-size".to_owned(), LOG.0.to_owned()), ("max-file".to_owned(), LOG.1.to_owned())]);
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(options) }
}

/// The container for the engine.
pub(super) fn body(parts: Parts<'_>) -> ContainerCreateBody {
    let Parts { options, pod, container, image, sandbox, attempt, variables, mut mounts, message } = parts;
    let identity = Identity::of(pod, container);
    let security = container.security_context.clone().unwrap_or_default();
    let mut labels = labels(options, pod, names::ROLE_CONTAINER);
    labels.insert(names::CONTAINER.to_owned(), container.name.clone());
    labels.insert(names::ATTEMPT.to_owned(), attempt.to_string());
    labels.insert(names::HASH.to_owned(), hash(container));
    mounts.push(Mount {
        typ: Some(MountType::BIND),
        source: Some(message.display().to_string()),
        target: container.termination_message_path.clone().or_else(|| Some("/dev/termination-log".to_owned())),
        ..Default::default()
    });
    let shared_processes = pod.spec.as_ref().and_then(|spec| spec.share_process_namespace) == Some(true);
    let own = format!("container:{}", sandbox.id);
    let mut host = HostConfig {
        network_mode: Some(own.clone()),
        ipc_mode: Some(own.clone()),
        pid_mode: shared_processes.then_some(own),
        mounts: Some(mounts),
        group_add: Some(identity.groups.iter().map(ToString::to_string).collect()),
        log_config: Some(log_config()),
        ..Default::default()
    };
    secure(&mut host, &security, pod);
    limit(&mut host, container.resources.as_ref());
    ContainerCreateBody {
        image: Some(image.id.clone()),
        entrypoint: environment::command(container.command.as_ref(), variables),
        cmd: environment::command(container.args.as_ref(), variables),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: container.working_dir.clone(),
        user: identity.engine_user(&image.user),
        tty: container.tty,
        open_stdin: container.stdin,
        stdin_once: container.stdin_once,
        // Kubernetes knows its own probes only.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels),
        host_config: Some(host),
        ..Default::default()
    }
}

fn secure(host: &mut HostConfig, security: &SecurityContext, pod: &Pod) {
    host.readonly_rootfs = security.read_only_root_filesystem;
    host.privileged = security.privileged;
    let capabilities = security.capabilities.clone().unwrap_or_default();
    host.cap_add = capabilities.add;
    host.cap_drop = capabilities.drop;
    let mut options = Vec::new();
    if security.allow_privilege_escalation == Some(false) {
        options.push("no-new-privileges".to_owned());
    }
    let all = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let seccomp = security.seccomp_profile.as_ref().or(all.and_then(|all| all.seccomp_profile.as_ref()));
    // RuntimeDefault is what the engine does unless told otherwise, where its kernel can.
    if seccomp.is_none_or(|profile| profile.type_ == "Unconfined") && host.privileged != Some(true) {
        options.push("seccomp=unconfined".to_owned());
    }
    host.security_opt = Some(options);
}

fn limit(host: &mut HostConfig, resources: Option<&ResourceRequirements>) {
    let limits = resources.and_then(|all| all.limits.as_ref());
    let requests = resources.and_then(|all| all.requests.as_ref());
    host.memory = limits.and_then(|all| all.get("memory")).and_then(quantity::whole);
    // The same for memory and swap together: none.
    host.memory_swap = host.memory;
    let cpu = limits.and_then(|all| all.get("cpu")).and_then(quantity::milli);
    host.nano_cpus = cpu.map(|milli| milli * 1_000_000);
    let asked = requests.and_then(|all| all.get("cpu")).and_then(quantity::milli).or(cpu).unwrap_or_default();
    host.cpu_shares = Some((asked * SHARES.0 / 1000).max(SHARES.1));
}
