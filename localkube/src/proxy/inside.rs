//! A service's address inside the pod network: a container that has it, the service's names in the engine's DNS, and a
//! file that tells it the endpoints.

use std::{collections::HashMap, fs, io, net::Ipv4Addr, path::PathBuf, time::Duration};

use bollard::{
    Docker,
    models::{
        ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig,
        RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
        StartContainerOptions,
    },
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::table::{self, Entry, Key};
use crate::kubelet::{Options, names, prepare, sandbox};

/// Where the container sees its file.
const MOUNT: &str = "/service";
/// Between two tries to make the container.
const RETRY: Duration = Duration::from_secs(2);
/// The service that a container belongs to.
const SERVICE_UID: &str = "dev.slipway.service.uid";

/// A service's place inside the network.
pub(super) struct Inside {
    docker: Docker,
    options: Options,
    directory: PathBuf,
    uid: String,
    made: Option<Made>,
    written: Option<String>,
}

/// The container, or the work on it.
struct Made {
    address: Ipv4Addr,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Inside {
    pub(super) fn new(docker: &Docker, options: &Options, uid: &str) -> Self {
        Self {
            docker: docker.clone(),
            options: options.clone(),
            directory: options.directory.join("services").join(uid),
            uid: uid.to_owned(),
            made: None,
            written: None,
        }
    }

    /// Tells the container the endpoints, making it when there is something to tell for the first time; true when a
    /// container has to take notice.
    pub(super) fn update(&mut self, key: &Key, entry: &Entry) -> bool {
        let Some(address) = entry.address else { return false };
        if self.made.is_none() && !entry.populated {
            return false;
        }
        let text = table::file(entry);
        let changed = self.written.as_ref() != Some(&text);
        if changed {
            if let Err(error) = self.write(&text) {
                tracing::warn!(%error, directory = %self.directory.display(), "a service's endpoints were not written");
                return false;
            }
            self.written = Some(text);
        }
        if self.made.as_ref().is_none_or(|made| made.address != address) {
            if let Some(made) = self.made.take() {
                made.stop.cancel();
            }
            let stop = CancellationToken::new();
            let maker = Maker {
                docker: self.docker.clone(),
                options: self.options.clone(),
                directory: self.directory.clone(),
                key: key.clone(),
                uid: self.uid.clone(),
                address,
            };
            self.made = Some(Made { address, work: tokio::spawn(maker.run(stop.clone())), stop });
        }
        changed
    }

    /// By rename: the container reads a whole file or the one before.
    fn write(&self, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let part = self.directory.join("endpoints.part");
        fs::write(&part, text)?;
        fs::rename(part, self.directory.join("endpoints"))
    }

    /// Removes the container of a service that is gone.
    pub(super) async fn remove(mut self) {
        if let Some(made) = self.made.take() {
            // What is being made must be whole to be found.
            made.stop.cancel();
            let _ = made.work.await;
        }
        remove(&self.docker, &self.options, Some(&self.uid)).await;
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What it takes to make a service's container.
struct Maker {
    docker: Docker,
    options: Options,
    directory: PathBuf,
    key: Key,
    uid: String,
    address: Ipv4Addr,
}

impl Maker {
    async fn run(self, stop: CancellationToken) {
        let mut told = false;
        while !stop.is_cancelled() {
            match self.make().await {
                Ok(()) => return,
                Err(error) if !told => {
                    let (namespace, service) = &self.key;
                    tracing::warn!(error, service, namespace, "the service has no address inside pods yet");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(RETRY) => {}
            }
        }
    }

    async fn make(&self) -> Result<(), String> {
        let Self { docker, options, directory, key: (namespace, service), uid, address } = self;
        let name = format!("slipway-{}-service-{namespace}-{service}", options.cluster_id);
        // One that outlived the process goes on; the engine restarts it if it ends.
        if let Ok(found) = docker.inspect_container(&name, None::<InspectContainerOptions>).await {
            let labelled = found.config.as_ref().and_then(|config| config.labels.as_ref());
            let same = labelled.and_then(|labels| labels.get(SERVICE_UID)).is_some_and(|label| label == uid)
                && sandbox::address(&found) == Some(address.to_string())
                && found.state.as_ref().and_then(|state| state.running) == Some(true);
            if same {
                return Ok(());
            }
            let force = RemoveContainerOptions { force: true, ..Default::default() };
            let _ = docker.remove_container(&name, Some(force)).await;
        }
        prepare(docker, options).await?;
        let mut labels = names::labels(&options.cluster_id, &options.directory, names::ROLE_SERVICE);
        labels.insert(SERVICE_UID.to_owned(), uid.to_owned());
        let aliases =
            ["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{service}.{namespace}{suffix}")).to_vec();
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() }),
            aliases: Some(aliases),
            ..Default::default()
        };
        let network = names::network(&options.cluster_id);
        let body = ContainerCreateBody {
            image: Some(sandbox::image(&options.cluster_id)),
            cmd: Some(vec!["service".to_owned(), format!("{MOUNT}/endpoints")]),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some(network.clone()),
                mounts: Some(vec![Mount {
                    typ: Some(MountType::BIND),
                    source: Some(directory.display().to_string()),
                    target: Some(MOUNT.to_owned()),
                    read_only: Some(true),
                    ..Default::default()
                }]),
                readonly_rootfs: Some(true),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::ALWAYS),
                    maximum_retry_count: None,
                }),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name), ..Default::default() };
        let created = docker.create_container(Some(options), body).await.map_err(|error| error.to_string())?;
        docker.start_container(&created.id, None::<StartContainerOptions>).await.map_err(|error| error.to_string())
    }
}

async fn remove(docker: &Docker, options: &Options, uid: Option<&str>) {
    let mut labels = vec![(names::CLUSTER, options.cluster_id.as_str()), (names::ROLE, names::ROLE_SERVICE)];
    labels.extend(uid.map(|uid| (SERVICE_UID, uid)));
    let list = ListContainersOptions { all: true, filters: Some(names::filter(&labels)), ..Default::default() };
    for summary in docker.list_containers(Some(list)).await.unwrap_or_default() {
        let force = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let _ = docker.remove_container(&summary.id.unwrap_or_default(), Some(force)).await;
    }
}

/// Removes the containers of services that were deleted while this process wasn't there.
pub(super) async fn orphans(docker: &Docker, options: &Options, alive: &std::collections::HashSet<String>) {
    let labels = [(names::CLUSTER, options.cluster_id.as_str()), (names::ROLE, names::ROLE_SERVICE)];
    let list = ListContainersOptions { all: true, filters: Some(names::filter(&labels)), ..Default::default() };
    for summary in docker.list_containers(Some(list)).await.unwrap_or_default() {
        let uid = summary.labels.unwrap_or_default().remove(SERVICE_UID).unwrap_or_default();
        if !alive.contains(&uid) {
            remove(docker, options, Some(&uid)).await;
            let _ = fs::remove_dir_all(options.directory.join("services").join(uid));
        }
    }
}
