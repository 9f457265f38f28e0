//! Makes Services reachable: LoadBalancer services and node ports on the host's loopback, all others from within pods.
//!
//! Ingresses get a port of the host, too. Connections only: services that speak UDP are not passed on. A headless
//! service has no address, and no name but that of its pods.

mod balance;
mod host;
mod ingress;
mod inside;
mod table;
mod traffic;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bollard::Docker;
use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::{Instant, sleep_until};

use crate::kubelet::{
    Options,
    events::{Recorder, Severity},
};
use table::{Entry, Key};

pub use traffic::Traffic;

/// How long after a file was written the container that reads it has taken notice: its poll (`node/service.rs`) and
/// something for a busy machine.
const NOTICE: Duration = Duration::from_millis(120);

/// What is done for one service.
struct Served {
    entry: Entry,
    ports: host::Ports,
    inside: inside::Inside,
}

/// All of one kind, by namespace and name, as a watch tells it.
struct Known<K> {
    objects: BTreeMap<Key, K>,
    next: BTreeMap<Key, K>,
    complete: bool,
}

impl<K: kube::Resource + ResourceExt> Known<K> {
    fn new() -> Self {
        Self { objects: BTreeMap::new(), next: BTreeMap::new(), complete: false }
    }

    fn take(&mut self, event: watcher::Event<K>) {
        let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            watcher::Event::Init => self.next.clear(),
            watcher::Event::InitApply(object) => drop(self.next.insert(key(&object), object)),
            watcher::Event::InitDone => {
                self.objects = std::mem::take(&mut self.next);
                self.complete = true;
            }
            watcher::Event::Apply(object) => drop(self.objects.insert(key(&object), object)),
            watcher::Event::Delete(object) => drop(self.objects.remove(&key(&object))),
        }
    }
}

/// Serves every Service and Ingress until the returned future is dropped.
pub async fn run(client: Client, docker: Docker, options: Options) {
    tokio::join!(ingress::publish_class(&client), serve(client.clone(), docker, options));
}

async fn serve(client: Client, docker: Docker, options: Options) {
    let recorder = Recorder::start(client.clone(), "service-controller", None);
    let config = watcher::Config::default;
    let mut services = std::pin::pin!(watcher(Api::<Service>::all(client.clone()), config()).default_backoff());
    let mut slices = std::pin::pin!(watcher(Api::<EndpointSlice>::all(client.clone()), config()).default_backoff());
    let mut ingresses = std::pin::pin!(watcher(Api::<Ingress>::all(client.clone()), config()).default_backoff());
    let mut classes = std::pin::pin!(watcher(Api::<IngressClass>::all(client.clone()), config()).default_backoff());
    let (mut known_services, mut known_slices) = (Known::new(), Known::new());
    let (mut known_ingresses, mut known_classes) = (Known::new(), Known::new());
    let mut gateway = ingress::Gateway::default();
    let mut served: BTreeMap<Key, Served> = BTreeMap::new();
    let mut notice: Option<Instant> = None;
    let mut cleaned = false;
    loop {
        tokio::select! {
            Some(event) = services.next() => match event {
                Ok(event) => known_services.take(event),
                Err(error) => tracing::warn!(%error, "watching services"),
            },
            Some(event) = slices.next() => match event {
                Ok(event) => known_slices.take(event),
                Err(error) => tracing::warn!(%error, "watching endpoint slices"),
            },
            Some(event) = ingresses.next() => match event {
                Ok(event) => known_ingresses.take(event),
                Err(error) => tracing::warn!(%error, "watching ingresses"),
            },
            Some(event) = classes.next() => match event {
                Ok(event) => known_classes.take(event),
                Err(error) => tracing::warn!(%error, "watching ingress classes"),
            },
            () = sleep_until(notice.unwrap_or_else(Instant::now)), if notice.is_some() => {
                notice = None;
                options.traffic.set(addresses(&served));
                continue;
            }
        }
        // What was served before a restart goes on until everything is known again.
        if !known_services.complete || !known_slices.complete {
            continue;
        }
        let lag = sync(&client, &docker, &options, &recorder, &known_services, &known_slices, &mut served).await;
        if known_ingresses.complete && known_classes.complete {
            let entries = served.iter().map(|(key, served)| (key.clone(), &served.entry)).collect();
            gateway.sync(&client, &recorder, &known_ingresses, &known_classes, &entries).await;
        }
        if lag {
            options.traffic.add(addresses(&served));
            notice = Some(Instant::now() + NOTICE);
        } else if notice.is_none() {
            options.traffic.set(addresses(&served));
        }
        if !cleaned {
            cleaned = true;
            let alive: HashSet<String> = served.values().map(|served| served.entry.uid.clone()).collect();
            inside::orphans(&docker, &options, &alive).await;
        }
    }
}

/// Brings everything in line; true when containers have yet to take notice.
async fn sync(
    client: &Client,
    docker: &Docker,
    options: &Options,
    recorder: &Recorder,
    services: &Known<Service>,
    slices: &Known<EndpointSlice>,
    served: &mut BTreeMap<Key, Served>,
) -> bool {
    let gone = served.iter().filter(|(key, served)| {
        services.objects.get(*key).is_none_or(|service| service.uid().as_deref() != Some(served.entry.uid.as_str()))
    });
    for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
        if let Some(served) = served.remove(&key) {
            // Ports close at once; the container may take its time.
            drop(served.ports);
            tokio::spawn(served.inside.remove());
        }
    }
    let mut lag = false;
    for (key, service) in &services.objects {
        let entry = table::entry(service, &table::slices_of(&slices.objects, key));
        let known = served.entry(key.clone()).or_insert_with(|| Served {
            inside: inside::Inside::new(docker, options, &entry.uid),
            ports: host::Ports::new(),
            entry: Entry::default(),
        });
        if known.entry == entry {
            continue;
        }
        if entry.load_balancer && !known.entry.load_balancer {
            recorder.record(
                host::reference(key, &entry),
                Severity::Normal,
                "EnsuringLoadBalancer",
                "Ensuring load balancer",
            );
        }
        known.ports.update(client, recorder, key, &entry);
        lag |= known.inside.update(key, &entry);
        known.entry = entry;
    }
    lag
}

/// Every address that connections are sent to.
fn addresses(served: &BTreeMap<Key, Served>) -> HashSet<std::net::IpAddr> {
    let ports = served.values().flat_map(|served| &served.entry.ports);
    ports.flat_map(|port| &port.endpoints).map(std::net::SocketAddr::ip).collect()
}
