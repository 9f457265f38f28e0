//! Listeners on the host's loopback for LoadBalancer services and node ports.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{
    balance::{self, Endpoints},
    table::{Entry, Key},
};
use crate::kubelet::events::{Recorder, Severity};

/// Between two tries to listen on a port that was taken.
const RETRY: Duration = Duration::from_secs(2);

/// One service's listeners.
pub(super) struct Ports {
    listeners: BTreeMap<u16, Listener>,
    /// How many of the ports that the outside was promised are listened on.
    bound: Arc<watch::Sender<usize>>,
    announcer: Option<(usize, JoinHandle<()>)>,
}

struct Listener {
    endpoints: Arc<Endpoints>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.announcer {
            task.abort();
        }
    }
}

impl Ports {
    pub(super) fn new() -> Self {
        Self { listeners: BTreeMap::new(), bound: Arc::default(), announcer: None }
    }

    /// Listens where the service wants it, and nowhere else.
    pub(super) fn update(&mut self, client: &Client, recorder: &Recorder, key: &Key, entry: &Entry) {
        let node_ports = entry.ports.iter().filter_map(|port| Some((port.node_port?, (&port.endpoints, false))));
        let mut wanted: BTreeMap<u16, (&Vec<_>, bool)> = node_ports.collect();
        if entry.load_balancer {
            wanted.extend(entry.ports.iter().map(|port| (port.port, (&port.endpoints, true))));
        }
        self.listeners.retain(|number, _| wanted.contains_key(number));
        for (number, (addresses, promised)) in &wanted {
            let listener = self.listeners.entry(*number).or_insert_with(|| {
                let endpoints = Arc::<Endpoints>::default();
                let bound = promised.then(|| Arc::clone(&self.bound));
                // Nobody asked for the node ports that a load balancer has besides.
                let complain = (*promised || !entry.load_balancer).then(|| (recorder.clone(), reference(key, entry)));
                let work = listen(*number, Arc::clone(&endpoints), bound, complain);
                Listener { endpoints, task: tokio::spawn(work) }
            });
            listener.endpoints.set(addresses);
        }
        let promised = wanted.values().filter(|(_, promised)| *promised).count();
        if self.announcer.as_ref().map_or(0, |(count, _)| *count) != promised {
            if let Some((_, task)) = self.announcer.take() {
                task.abort();
            }
            let (client, recorder, reference) = (client.clone(), recorder.clone(), reference(key, entry));
            let bound = self.bound.subscribe();
            self.announcer = Some((promised, tokio::spawn(announce(client, recorder, reference, bound, promised))));
        }
    }
}

/// The service, for events.
pub(super) fn reference((namespace, name): &Key, entry: &Entry) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        uid: Some(entry.uid.clone()),
        ..Default::default()
    }
}

/// One more of the promised ports is listened on, until dropped.
struct Bound(Arc<watch::Sender<usize>>);

impl Bound {
    fn new(count: Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Keeps the port until dropped, and listens on it while there are endpoints.
async fn listen(
    port: u16,
    endpoints: Arc<Endpoints>,
    bound: Option<Arc<watch::Sender<usize>>>,
    mut complain: Option<(Recorder, ObjectReference)>,
) {
    let mut held = None;
    loop {
        let result = match balance::reserve(port) {
            Ok(socket) => {
                if held.is_none() {
                    held = bound.clone().map(Bound::new);
                }
                endpoints.until(true).await;
                balance::accept(socket, &endpoints).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            held = None;
            if let Some((recorder, service)) = complain.take() {
                refused(port, &error, &recorder, service);
            }
            sleep(RETRY).await;
        }
    }
}

fn refused(port: u16, error: &io::Error, recorder: &Recorder, service: ObjectReference) {
    let why = if error.kind() == io::ErrorKind::AddrInUse {
        "it is taken by another program".to_owned()
    } else {
        error.to_string()
    };
    tracing::warn!(port, service = service.name, "cannot listen on 127.0.0.1: {why}");
    let message = format!("Error syncing load balancer: cannot listen on port {port} of 127.0.0.1: {why}");
    recorder.record(service, Severity::Warning, "SyncLoadBalancerFailed", message);
}

/// Writes the service's status once all of its ports are listened on; takes it back when it promises none any more.
async fn announce(
    client: Client,
    recorder: Recorder,
    service: ObjectReference,
    mut bound: watch::Receiver<usize>,
    promised: usize,
) {
    if bound.wait_for(|bound| *bound >= promised).await.is_err() {
        return;
    }
    let ingress = (promised > 0).then(|| json!([{"ip": "127.0.0.1", "ipMode": "VIP"}]));
    let patch = json!({"metadata": {"uid": service.uid}, "status": {"loadBalancer": {"ingress": ingress}}});
    let api: Api<Service> = Api::namespaced(client, service.namespace.as_deref().unwrap_or("default"));
    let name = service.name.clone().unwrap_or_default();
    loop {
        match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
            Ok(_) => break,
            Err(error) => tracing::debug!(%error, name, "the service's status was not written"),
        }
        sleep(RETRY).await;
    }
    if promised > 0 {
        recorder.record(service, Severity::Normal, "EnsuredLoadBalancer", "Ensured load balancer");
    }
}
