//! Runs the pods of this node as containers of the Docker Engine.
//!
//! Reading order: [`pod`] (one pod from binding to end), [`container`] (one container through its restarts), [`attend`]
//! (a running one), [`terminate`] (the way out), [`status`] (what is told about it all). `containers`, `environment`,
//! `security`, `downward`, `quantity` and `status` compute and do nothing.

mod attend;
mod claims;
mod cleanup;
mod container;
mod containers;
mod credentials;
mod deadline;
pub(crate) mod dial;
mod dns;
mod downward;
mod environment;
pub(crate) mod events;
pub(crate) mod exec;
mod exit;
mod exits;
mod files;
mod hooks;
mod images;
mod logs;
mod mirrors;
pub(crate) mod names;
mod network;
mod node;
mod pod;
mod probes;
mod provision;
mod pull;
mod quantity;
pub(crate) mod sandbox;
mod security;
mod services;
mod sources;
mod status;
mod terminate;
mod volumes;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::TryStreamExt;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::proxy::Traffic;
use pod::Latest;

/// The engine that pods run on.
pub use bollard::Docker;
pub use cleanup::{Removed, remove_all};
pub use logs::{Missing, Wanted, logs};
pub use mirrors::Mirrors;
pub(crate) use names::network as network_name;
pub use network::{Subnet, choose as choose_subnet};

/// The Kubernetes version that the node reports.
const VERSION: &str = "v1.36.2";
/// Between two tries to make the network and the node image.
const RETRY: Duration = Duration::from_secs(2);

/// What a kubelet needs to know about its node.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Node object's name.
    pub node_name: String,
    /// The cluster's identity: every container, network and volume carries it as a label.
    pub cluster_id: String,
    /// The cluster's state directory; volumes of pods are in its `pods/`.
    pub directory: PathBuf,
    /// The cluster's addresses.
    pub subnet: Subnet,
    /// Which addresses the proxy sends connections to: shared with [`crate::proxy::run`].
    pub traffic: Traffic,
    /// Where images of some registries are pulled from.
    pub mirrors: Mirrors,
    /// Labels of the Node object beside its own.
    pub labels: BTreeMap<String, String>,
    /// Held while the network and the node image are made: kubelet and proxy both need them first.
    preparing: Arc<tokio::sync::Mutex<()>>,
}

impl Options {
    /// Options of a node with nothing running yet.
    pub fn new(
        node_name: impl Into<String>,
        cluster_id: impl Into<String>,
        directory: impl AsRef<Path>,
        subnet: Subnet,
    ) -> Self {
        Self {
            node_name: node_name.into(),
            cluster_id: cluster_id.into(),
            directory: cleanup::absolute(directory.as_ref()),
            subnet,
            traffic: Traffic::default(),
            mirrors: Mirrors::default(),
            labels: BTreeMap::new(),
            preparing: Arc::default(),
        }
    }
}

/// What all pods of the node share.
struct Kubelet {
    client: Client,
    docker: Docker,
    options: Options,
    recorder: events::Recorder,
    exits: exits::Exits,
    prepared: watch::Sender<bool>,
    allocatable: Mutex<BTreeMap<String, Quantity>>,
}

impl Kubelet {
    fn allocatable(&self) -> BTreeMap<String, Quantity> {
        self.allocatable.lock().expect("no holder panics").clone()
    }

    fn set_allocatable(&self, resources: BTreeMap<String, Quantity>) {
        *self.allocatable.lock().expect("no holder panics") = resources;
    }

    /// Makes the network and the node image, trying until they are there.
    async fn prepare(&self) {
        loop {
            match prepare(&self.docker, &self.options).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(error, "pods cannot be started yet"),
            }
            sleep(RETRY).await;
        }
        self.prepared.send_replace(true);
    }

    /// Waits for [`Self::prepare`].
    async fn prepared(&self) {
        // The sender lives as long as self.
        let _ = self.prepared.subscribe().wait_for(|done| *done).await;
    }

    async fn patch_status(&self, pod: &Pod, status: &Value) -> Result<(), kube::Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), names::namespace(pod));
        // By uid: a pod of the same name that came after isn't this one.
        let patch = json!({"metadata": {"uid": names::uid(pod)}, "status": status});
        api.patch_status(names::name(pod), &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }
}

/// Makes the network and the node image, if they aren't there.
///
/// # Errors
/// What the engine says.
pub(crate) async fn prepare(docker: &Docker, options: &Options) -> Result<(), String> {
    let _alone = options.preparing.lock().await;
    network::ensure(docker, options).await.map_err(|error| error.to_string())?;
    sandbox::ensure_image(docker, &options.cluster_id, &options.directory).await
}

/// Whether an error means that the engine didn't answer, rather than that it refused.
pub(crate) fn unavailable(error: &bollard::errors::Error) -> bool {
    use bollard::errors::Error;
    !matches!(error, Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. })
}

/// Registers the node and runs its pods until the returned future is dropped; the containers go on without it.
pub async fn run(client: Client, docker: Docker, options: Options) {
    let kubelet = Arc::new(Kubelet {
        recorder: events::Recorder::start(client.clone(), "kubelet", Some(options.node_name.clone())),
        exits: exits::Exits::new(docker.clone()),
        prepared: watch::Sender::new(false),
        allocatable: Mutex::default(),
        client,
        docker,
        options,
    });
    tokio::join!(
        kubelet.exits.run(&kubelet.options.cluster_id),
        node::run(&kubelet),
        kubelet.prepare(),
        pods(&kubelet),
        provision::run(&kubelet),
    );
}

/// Gives every pod of the node a task, and each task its news.
async fn pods(kubelet: &Arc<Kubelet>) {
    let api: Api<Pod> = Api::all(kubelet.client.clone());
    let node = &kubelet.options.node_name;
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut known: HashMap<String, watch::Sender<Latest>> = HashMap::new();
    let mut seen = HashSet::new();
    let mut tasks = JoinSet::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "watching pods");
                continue;
            }
        };
        // Tasks that are done have nothing to say.
        while tasks.try_join_next().is_some() {}
        match event {
            watcher::Event::Init => seen.clear(),
            watcher::Event::InitApply(pod) | watcher::Event::Apply(pod) => {
                if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(node.as_str()) {
                    continue;
                }
                let uid = names::uid(&pod).to_owned();
                seen.insert(uid.clone());
                let latest = Latest { pod: Arc::new(pod), gone: false };
                match known.get(&uid) {
                    Some(sender) => drop(sender.send_replace(latest)),
                    None => {
                        let (sender, receiver) = watch::channel(latest);
                        known.insert(uid, sender);
                        tasks.spawn(pod::run(Arc::clone(kubelet), receiver));
                    }
                }
            }
            watcher::Event::Delete(pod) => gone(&mut known, names::uid(&pod)),
            watcher::Event::InitDone => {
                let missed: Vec<String> = known.keys().filter(|uid| !seen.contains(*uid)).cloned().collect();
                missed.iter().for_each(|uid| gone(&mut known, uid));
                let (kubelet, alive) = (Arc::clone(kubelet), known.keys().cloned().collect());
                tasks.spawn(async move {
                    kubelet.exits.connected().await;
                    cleanup::orphans(&kubelet, &alive).await;
                });
            }
        }
    }
}

fn gone(known: &mut HashMap<String, watch::Sender<Latest>>, uid: &str) {
    if let Some(sender) = known.remove(uid) {
        sender.send_modify(|latest| latest.gone = true);
    }
}
