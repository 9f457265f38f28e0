//! A pod's sandbox: the container that holds its network namespace, host name, /etc/hosts and resolv.conf while the
//! pod's own containers come and go; and the image it runs.

use std::{collections::HashMap, path::Path};

use bollard::{
    body_full,
    errors::Error,
    models::{
        ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, Mount, MountType,
        MountVolumeOptions, NetworkingConfig,
    },
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, InspectContainerOptions, StartContainerOptions,
        UploadToContainerOptions,
    },
};
use bytes::Bytes;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use sha2::{Digest, Sha256};

use super::{
    Kubelet, claims, containers,
    dns::{self, Dns},
    names,
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
pub(crate) fn image(cluster_id: &str) -> String {
    format!("slipway-{cluster_id}/node:{}", &hex::encode(Sha256::digest(PROGRAM))[..12])
}

/// Makes sure that the engine has the node image.
///
/// # Errors
/// When there is no program to put into it, or the engine refuses it.
pub(crate) async fn ensure_image(docker: &bollard::Docker, cluster_id: &str, directory: &Path) -> Result<(), String> {
    if PROGRAM.is_empty() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        return Err(format!(
            "this build has no node program for pods: install the target ({target}) and a linker for it, and build again"
        ));
    }
    let name = image(cluster_id);
    if docker.inspect_image(&name).await.is_ok() {
        return Ok(());
    }
    let archive = archive(&[("node", PROGRAM)]).map_err(|error| error.to_string())?;
    let (repository, tag) = name.split_once(':').expect("written so above");
    // Quoted as JSON is: directories may have spaces.
    let directory = serde_json::Value::from(directory.display().to_string());
    let label = format!("LABEL {}={} {}={directory}", names::CLUSTER, cluster_id, names::DIRECTORY);
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
    let mut body = body(kubelet, pod, places);
    let aliases = dns::aliases(kubelet, pod, body.hostname.as_deref()).await;
    if !aliases.is_empty() {
        let endpoint = EndpointSettings { aliases: Some(aliases), ..Default::default() };
        let network = names::network(&kubelet.options.cluster_id);
        let endpoints_config = Some(HashMap::from([(network, endpoint)]));
        body.networking_config = Some(NetworkingConfig { endpoints_config });
    }
    let created = kubelet.docker.create_container(Some(options), body).await?;
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
        Place::Kept(path, _) => Some(Mount {
            typ: Some(MountType::BIND),
            source: Some(path.display().to_string()),
            target: Some(format!("{VOLUMES}/{name}")),
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
        image: Some(image(&options.cluster_id)),
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

/// Scratch space belongs to root when the engine makes it; containers of any user must be able to write there, and new
/// files go to the pod's `fsGroup`. An archive sets both, without running anything.
async fn prepare_volumes(kubelet: &Kubelet, pod: &Pod, places: &Places, id: &str) -> Result<(), Error> {
    let group = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()).and_then(|all| all.fs_group);
    // What is kept is prepared once: a container may have changed it since.
    let unprepared = |place: &Place| match place {
        Place::Engine(_) => true,
        Place::Kept(path, read_only) => group.is_some_and(|group| !read_only && !claims::is_group_s(path, group)),
        Place::Host(_) => false,
    };
    let scratch: Vec<(&String, &Place)> = places.iter().filter(|(_, place)| unprepared(place)).collect();
    if scratch.is_empty() {
        return Ok(());
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (name, place) in scratch {
        let below = if matches!(place, Place::Engine(_)) { volumes::sub_paths(pod, name) } else { Vec::new() };
        let below = below.into_iter().map(|path| format!("{name}/{path}/"));
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
