//! Ingresses on a port of the host's loopback: plain HTTP, by host and path.
//!
//! The class `local` has one port for all its Ingresses, which its annotation `slipway.dev/port` says; a free one is
//! chosen and written there when it says none. An Ingress with the annotation has a port for itself. TLS is not spoken:
//! an Ingress that asks for it is not served, and an event says so.

mod forward;
mod routes;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError},
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::ObjectReference,
    networking::v1::{Ingress, IngressClass},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use self::{forward::Shared, routes::Table};
use super::{
    Known,
    table::{Entry, Key},
};
use crate::kubelet::events::{Recorder, Severity};

/// The class that Ingresses get which name none.
const CLASS: &str = "local";
const CONTROLLER: &str = "slipway.dev/ingress";
/// Which port of the host: on a class, or on an Ingress for itself alone.
const PORT: &str = "slipway.dev/port";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const RETRY: Duration = Duration::from_secs(2);

/// What listens, and what was told about it.
#[derive(Default)]
pub(super) struct Gateway {
    listeners: BTreeMap<u16, Listener>,
    announced: BTreeMap<Key, (String, u16)>,
    /// Those that ask for TLS, as they were when it was said that there is none.
    refused: BTreeMap<Key, Ingress>,
}

struct Listener {
    table: Shared,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    /// Brings listeners, rules and statuses in line.
    pub(super) async fn sync(
        &mut self,
        client: &Client,
        recorder: &Recorder,
        ingresses: &Known<Ingress>,
        classes: &Known<IngressClass>,
        services: &BTreeMap<Key, &Entry>,
    ) {
        let ours =
            |ingress: &Ingress| class_of(ingress, classes).is_some() && ingress.metadata.deletion_timestamp.is_none();
        let mut by_port: BTreeMap<u16, Vec<&Ingress>> = BTreeMap::new();
        for ingress in ingresses.objects.values().filter(|ingress| ours(ingress) && !wants_tls(ingress)) {
            let class = class_of(ingress, classes);
            let asked = port_of(ingress).or_else(|| port_of(class?));
            let port = match asked {
                Some(port) => port,
                None => match class.map(|class| self.choose(client, class)) {
                    Some(choosing) => match choosing.await {
                        // The class comes again with its port.
                        Some(_) => return,
                        None => continue,
                    },
                    None => continue,
                },
            };
            by_port.entry(port).or_default().push(ingress);
        }
        self.refuse(recorder, ingresses.objects.values().filter(|ingress| ours(ingress) && wants_tls(ingress)));
        self.listeners.retain(|port, _| by_port.contains_key(port));
        let alive: BTreeSet<Key> = by_port.values().flatten().map(|ingress| key(ingress)).collect();
        self.announced.retain(|key, _| alive.contains(key));
        for (port, group) in &by_port {
            let port = *port;
            let table = Arc::new(Table::new(group.iter().copied(), services));
            let listener = self.listeners.entry(port).or_insert_with(|| {
                let shared = Shared::default();
                let first = group.first().map(|ingress| reference(ingress));
                let work = listen(port, Arc::clone(&shared), recorder.clone(), first.unwrap_or_default());
                Listener { table: shared, task: tokio::spawn(work) }
            });
            *listener.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        }
        // Requests go the new way before anybody waits for the API server.
        for (port, group) in by_port {
            for ingress in group {
                let told = (ingress.uid().unwrap_or_default(), port);
                if self.announced.get(&key(ingress)) != Some(&told) && announce(client, ingress, port).await {
                    self.announced.insert(key(ingress), told);
                }
            }
        }
    }

    /// Says once of each that it is not served.
    fn refuse<'a>(&mut self, recorder: &Recorder, ingresses: impl Iterator<Item = &'a Ingress>) {
        let refused: BTreeMap<Key, Ingress> = ingresses.map(|ingress| (key(ingress), ingress.clone())).collect();
        for (key, ingress) in &refused {
            if self.refused.get(key).is_none_or(|known| known.spec != ingress.spec) {
                let message = "this cluster serves Ingresses without TLS: remove spec.tls to have this one served";
                recorder.record(reference(ingress), Severity::Warning, "SyncFailed", message);
            }
        }
        self.refused = refused;
    }

    /// Writes a free port into the class, so that it is the same after a restart.
    async fn choose(&self, client: &Client, class: &IngressClass) -> Option<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        let port = listener.local_addr().ok()?.port();
        let patch = json!({"metadata": {"uid": class.metadata.uid, "annotations": {PORT: port.to_string()}}});
        let api: Api<IngressClass> = Api::all(client.clone());
        api.patch(&class.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.ok()?;
        Some(port)
    }
}

/// Makes the class, if it is not there.
pub(super) async fn publish_class(client: &Client) {
    let class: IngressClass = serde_json::from_value(json!({
        "metadata": {"name": CLASS, "annotations": {DEFAULT_CLASS: "true"}},
        "spec": {"controller": CONTROLLER},
    }))
    .expect("written as an IngressClass is");
    let api: Api<IngressClass> = Api::all(client.clone());
    while let Err(error) = api.create(&PostParams::default(), &class).await {
        if matches!(&error, kube::Error::Api(answer) if answer.code == 409) {
            return;
        }
        sleep(RETRY).await;
    }
}

fn key(ingress: &Ingress) -> Key {
    (ingress.namespace().unwrap_or_default(), ingress.name_any())
}

fn wants_tls(ingress: &Ingress) -> bool {
    ingress.spec.as_ref().and_then(|spec| spec.tls.as_ref()).is_some_and(|tls| !tls.is_empty())
}

fn port_of<K: kube::Resource>(object: &K) -> Option<u16> {
    object.annotations().get(PORT)?.parse().ok().filter(|port| *port != 0)
}

/// The class of an Ingress, if it is one of ours: by name, by the old annotation, or the default one.
fn class_of<'a>(ingress: &Ingress, classes: &'a Known<IngressClass>) -> Option<&'a IngressClass> {
    let named = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
    let named = named.or_else(|| ingress.annotations().get("kubernetes.io/ingress.class"));
    let is_named = |class: &&IngressClass| match named {
        Some(name) => class.name_any() == *name,
        None => class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true"),
    };
    let ours =
        |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.as_deref()) == Some(CONTROLLER);
    classes.objects.values().find(is_named).filter(|class| ours(class))
}

fn reference(ingress: &Ingress) -> ObjectReference {
    ObjectReference {
        api_version: Some("networking.k8s.io/v1".to_owned()),
        kind: Some("Ingress".to_owned()),
        namespace: ingress.namespace(),
        name: ingress.metadata.name.clone(),
        uid: ingress.uid(),
        ..Default::default()
    }
}

/// Listens on the port as soon as it can, and until dropped.
async fn listen(port: u16, table: Shared, recorder: Recorder, ingress: ObjectReference) {
    let mut told = false;
    loop {
        match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await {
            Ok(listener) => return forward::serve(listener, table).await,
            Err(error) if !told => {
                let message = format!("cannot listen on port {port} of 127.0.0.1: {error}");
                tracing::warn!(port, ingress = ingress.name, "{message}");
                recorder.record(ingress.clone(), Severity::Warning, "SyncFailed", message);
                told = true;
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

/// Writes where the Ingress is reached.
async fn announce(client: &Client, ingress: &Ingress, port: u16) -> bool {
    let address = json!([{"ip": "127.0.0.1", "ports": [{"port": port, "protocol": "TCP"}]}]);
    let present = json!(ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref()));
    if present == address {
        return true;
    }
    let patch = json!({"metadata": {"uid": ingress.metadata.uid}, "status": {"loadBalancer": {"ingress": address}}});
    let api: Api<Ingress> = Api::namespaced(client.clone(), &ingress.namespace().unwrap_or_default());
    let patched = api.patch_status(&ingress.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.inspect_err(|error| tracing::debug!(%error, "the status of an ingress was not written")).is_ok()
}
