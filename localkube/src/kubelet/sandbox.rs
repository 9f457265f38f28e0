//! A pod's sandbox: the container that holds its network namespace, host name, /etc/hosts and resolv.conf while the
//! pod's own containers come and go; and the image it runs.

use std::collections::HashMap;

use bollard::{
    body_full,
    errors::Error,
    models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, MountType, MountVolumeOptions},
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, InspectContainerOptions, StartContainerOptions,
        UploadToContainerOptions,
    },
};
use bytes::Bytes;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};
use sha2::{Digest, Sha256};

use super::{
    Kubelet, Options, containers, names,
    volumes::{self, Place, Places},
};

/// The program of `node/`, for the engine's Linux; empty where it couldn't be compiled.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/node"));
/// Where scratch volumes are in the sandbox: they need a container to be prepared through, and tmpfs one to live with.
const VOLUMES: &str = "/volumes";

/// A running sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sandbox {
    pub(super) id: String,
    pub(super) ip: String,
}

/// The name of the cluster's node image, of which the containers in front of services are made too.
pub(crate) fn image(options: &Options) -> String {
    format!("slipway-{}/node:{}", options.cluster_id, &hex::encode(Sha256::digest(PROGRAM))[..12])
}

/// Makes sure that the engine has the node image.
///
/// # Errors
/// When there is no program to put into it, or the engine refuses it.
pub(crate) async fn ensure_image(docker: &bollard::Docker, options: &Options) -> Result<(), String> {
    if PROGRAM.is_empty() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        return Err(format!(
            "this build has no node program for pods: install the target ({target}) and a linker for it, and build again"
        ));
    }
    let name = image(options);
    if docker.inspect_image(&name).await.is_ok() {
        return Ok(());
    }
    let archive = archive(&[("node", PROGRAM)]).map_err(|error| error.to_string())?;
    let (repository, tag) = name.split_once(':').expect("written so above");
    // Quoted as JSON is: directories may have spaces.
    let directory = serde_json::Value::from(options.directory.display().to_string());
    let label = format!("LABEL {}={} {}={directory}", names::CLUSTER, options.cluster_id, names::DIRECTORY);
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repository.to_owned()),
        tag: Some(tag.to_owned()),
        changes: vec!["ENTRYPOINT [\"/node\"]".to_owned(), label],
        ..Default::default()
    };
    let mut progress = Box::pin(docker.create_image(Some(options), Some(body_full(archive)), None));
    while let Some(step) = progress.next().await {
        step.map_err(|error| format!("making the node image: {error}"))?;
    }
    Ok(())
}

fn archive(files: &[(&str, &[u8])]) -> std::io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, *data)?;
    }
    archive.into_inner().map(Bytes::from)
}

/// Makes and starts the pod's sandbox.
///
/// # Errors
/// What the engine says.
pub(super) async fn start(kubelet: &Kubelet, pod: &Pod, places: &Places) -> Result<Sandbox, Error> {
    let name = names::sandbox(&kubelet.options.cluster_id, pod);
    let options = CreateContainerOptions { name: Some(name), ..Default::default() };
    let created = kubelet.docker.create_container(Some(options), body(kubelet, pod, places)).await?;
    prepare_volumes(kubelet, pod, places, &created.id).await?;
    kubelet.docker.start_container(&created.id, None::<StartContainerOptions>).await?;
    let found = kubelet.docker.inspect_container(&created.id, None::<InspectContainerOptions>).await?;
    Ok(Sandbox { ip: address(&found).unwrap_or_else(|| kubelet.options.subnet.host().to_string()), id: created.id })
}

/// The sandbox's address in the cluster's network; nothing for a pod in the host's.
pub(crate) fn address(found: &ContainerInspectResponse) -> Option<String> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    networks.values().find_map(|network| network.ip_address.clone()).filter(|address| !address.is_empty())
}

fn body(kubelet: &Kubelet, pod: &Pod, places: &Places) -> ContainerCreateBody {
    let options = &kubelet.options;
    let spec = pod.spec.clone().unwrap_or_default();
    let own_network = spec.host_network != Some(true);
    let mounts = places.iter().filter_map(|(name, place)| match place {
        Place::Engine(volume) => Some(Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.clone()),
            target: Some(format!("{VOLUMES}/{name}")),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        }),
        Place::Host(_) => None,
    });
    let hosts = spec
        .host_aliases
        .iter()
        .flatten()
        .flat_map(|alias| alias.hostnames.iter().flatten().map(move |name| format!("{name}:{}", alias.ip)));
    let sysctls = spec.security_context.as_ref().and_then(|all| all.sysctls.as_ref()).into_iter().flatten();
    let dns = Dns::of(pod);
    ContainerCreateBody {
        image: Some(image(options)),
        cmd: Some(vec!["pause".to_owned()]),
        user: Some("65535:65535".to_owned()),
        hostname: own_network.then(|| hostname(pod)),
        labels: Some(containers::labels(options, pod, names::ROLE_SANDBOX)),
        host_config: Some(HostConfig {
            network_mode: Some(if own_network { names::network(&options.cluster_id) } else { "host".to_owned() }),
            mounts: Some(mounts.collect()),
            extra_hosts: Some(hosts.collect()),
            dns: Some(dns.servers),
            dns_search: Some(dns.search),
            dns_options: Some(dns.options),
            ipc_mode: Some("shareable".to_owned()),
            sysctls: Some(sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            log_config: Some(containers::log_config()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The pod's name for itself: 63 characters, what a kernel takes.
fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let name = spec.and_then(|spec| spec.hostname.as_deref()).unwrap_or_else(|| names::name(pod));
    let name: String = name.chars().take(63).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

/// What resolv.conf says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dns {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Dns {
    /// By the pod's `dnsPolicy` and `dnsConfig`
    /// (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>).
    fn of(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
        let host_network = spec.and_then(|spec| spec.host_network) == Some(true);
        let mut dns = Self::default();
        if policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network) {
            let namespace = names::namespace(pod);
            dns.search =
                vec![format!("{namespace}.svc.cluster.local"), "svc.cluster.local".into(), "cluster.local".into()];
            dns.options = vec!["ndots:5".to_owned()];
        }
        if let Some(PodDNSConfig { nameservers, options, searches }) = spec.and_then(|spec| spec.dns_config.as_ref()) {
            dns.servers.extend(nameservers.iter().flatten().cloned());
            dns.search.extend(searches.iter().flatten().cloned());
            for option in options.iter().flatten() {
                let Some(name) = &option.name else { continue };
                dns.options.retain(|known| known.split(':').next() != Some(name));
                dns.options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
            }
        }
        dns
    }
}

/// Scratch space belongs to root when the engine makes it; containers of any user must be able to write there, and new
/// files go to the pod's `fsGroup`. An archive sets both, without running anything.
async fn prepare_volumes(kubelet: &Kubelet, pod: &Pod, places: &Places, id: &str) -> Result<(), Error> {
    let group = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()).and_then(|all| all.fs_group);
    let scratch: Vec<&String> =
        places.iter().filter(|(_, place)| matches!(place, Place::Engine(_))).map(|(name, _)| name).collect();
    if scratch.is_empty() {
        return Ok(());
    }
    let mut archive = tar::Builder::new(Vec::new());
    for name in scratch {
        let below = volumes::sub_paths(pod, name).into_iter().map(|path| format!("{name}/{path}/"));
        for path in std::iter::once(format!("{name}/")).chain(below) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(if group.is_some() { 0o2777 } else { 0o777 });
            header.set_gid(group.and_then(|group| u64::try_from(group).ok()).unwrap_or_default());
            archive.append_data(&mut header, path, std::io::empty())?;
        }
    }
    let archive = archive.into_inner()?;
    let options = UploadToContainerOptions { path: VOLUMES.to_owned(), ..Default::default() };
    kubelet.docker.upload_to_container(id, Some(options), body_full(archive.into())).await
}

/// Labels as a map, for the engine.
pub(super) type Labels = HashMap<String, String>;
