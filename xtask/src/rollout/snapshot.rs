//! What a rollout looks at: the objects that were applied, their ReplicaSets and their pods, kept up to date by watches.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use kube::{
    Client,
    api::DynamicObject,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::Value;

use super::readiness::has_rules;
use crate::{
    error::Result,
    plan::{CONCURRENCY, ObjectRef, Served, served},
};

/// One watch: a kind in a namespace.
type Watched = (String, String, Option<String>);

/// The state of the cluster as far as it concerns the rollout. A value: what is concluded from it needs no cluster.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    objects: BTreeMap<ObjectRef, Value>,
    /// The watches that have not listed everything yet.
    pending: BTreeSet<Watched>,
    /// Watches start over when they lose their place; what is then not listed again is gone.
    relisted: BTreeMap<Watched, BTreeSet<ObjectRef>>,
}

/// Something that a watch saw.
pub(super) type Event = (Watched, watcher::Result<watcher::Event<DynamicObject>>);

impl Snapshot {
    /// Whether every watch has listed what there was when it began.
    pub(super) fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<&Value> {
        self.objects.get(object)
    }

    /// The objects of a kind in a namespace.
    pub(super) fn of_kind<'a>(&'a self, kind: &'a str, namespace: Option<&'a str>) -> impl Iterator<Item = &'a Value> {
        let fits = move |object: &ObjectRef| object.kind == kind && object.namespace.as_deref() == namespace;
        self.objects.iter().filter(move |(object, _)| fits(object)).map(|(_, value)| value)
    }

    /// Takes in what a watch saw. An error is none of ours: the watch tries again by itself.
    pub(super) fn update(&mut self, (watched, event): Event) {
        match event {
            Ok(watcher::Event::Apply(object)) => drop(self.put(&watched, object)),
            Ok(watcher::Event::Delete(object)) => {
                let reference = reference(&watched, &object);
                self.objects.remove(&reference);
            }
            Ok(watcher::Event::Init) => drop(self.relisted.insert(watched, BTreeSet::new())),
            Ok(watcher::Event::InitApply(object)) => {
                let reference = self.put(&watched, object);
                self.relisted.entry(watched).or_default().insert(reference);
            }
            Ok(watcher::Event::InitDone) => {
                let listed = self.relisted.remove(&watched).unwrap_or_default();
                let (version, kind, namespace) = &watched;
                self.objects.retain(|object, _| {
                    let watched = object.api_version == *version
                        && object.kind == *kind
                        && (namespace.is_none() || object.namespace == *namespace);
                    !watched || listed.contains(object)
                });
                self.pending.remove(&watched);
            }
            // Classes of storage are the cluster's: who deploys into a namespace need not have the right to see them.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                if status.code == 403 && watched.1 == "StorageClass" =>
            {
                self.pending.remove(&watched);
            }
            Err(_) => {}
        }
    }

    fn put(&mut self, watched: &Watched, object: DynamicObject) -> ObjectRef {
        let reference = reference(watched, &object);
        let mut value = serde_json::to_value(object).unwrap_or_default();
        // Items of a list come without them.
        value["apiVersion"] = watched.0.as_str().into();
        value["kind"] = watched.1.as_str().into();
        self.objects.insert(reference.clone(), value);
        reference
    }

    #[cfg(test)]
    pub(super) fn of(objects: Vec<Value>) -> Self {
        let reference = |object: &Value| ObjectRef {
            api_version: object["apiVersion"].as_str().expect("an apiVersion").to_owned(),
            kind: object["kind"].as_str().expect("a kind").to_owned(),
            namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
            name: object["metadata"]["name"].as_str().expect("a name").to_owned(),
        };
        let objects = objects.into_iter().map(|object| (reference(&object), object)).collect();
        Self { objects, ..Self::default() }
    }
}

fn reference((api_version, kind, _): &Watched, object: &DynamicObject) -> ObjectRef {
    ObjectRef {
        api_version: api_version.clone(),
        kind: kind.clone(),
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}

/// Watches the kinds of these objects, and the pods and ReplicaSets of the namespaces in which something runs.
///
/// # Errors
/// The cluster cannot be asked for its kinds.
pub(super) async fn watch(client: &Client, objects: &[ObjectRef]) -> Result<(Snapshot, BoxStream<'static, Event>)> {
    let mut wanted: BTreeSet<Watched> = BTreeSet::new();
    for object in objects.iter().filter(|object| has_rules(object.group(), &object.kind)) {
        wanted.insert((object.api_version.clone(), object.kind.clone(), object.namespace.clone()));
        if matches!(object.group(), "apps" | "batch" | "autoscaling") {
            for (version, kind) in [("v1", "Pod"), ("apps/v1", "ReplicaSet")] {
                wanted.insert((version.to_owned(), kind.to_owned(), object.namespace.clone()));
            }
        }
        if object.kind == "PersistentVolumeClaim" {
            wanted.insert(("v1".to_owned(), "Pod".to_owned(), object.namespace.clone()));
            wanted.insert(("storage.k8s.io/v1".to_owned(), "StorageClass".to_owned(), None));
        }
        if object.group() == "autoscaling" {
            wanted.insert(("apps/v1".to_owned(), "Deployment".to_owned(), object.namespace.clone()));
        }
    }
    let versions: BTreeSet<String> = wanted.iter().map(|(version, ..)| version.clone()).collect();
    let kinds: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move { served(client, &version).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let kinds: Vec<Served> = kinds.into_iter().flatten().collect();
    let mut snapshot = Snapshot::default();
    let mut streams = Vec::new();
    for watched in wanted {
        let serves = |served: &&Served| served.resource.api_version == watched.0 && served.resource.kind == watched.1;
        // A kind that nobody serves any more has nothing to wait for.
        let Some(served) = kinds.iter().find(serves) else { continue };
        let api = served.api(client, watched.2.as_deref());
        snapshot.pending.insert(watched.clone());
        let events = watcher(api, watcher::Config::default()).default_backoff();
        streams.push(events.map(move |event| (watched.clone(), event)).boxed());
    }
    Ok((snapshot, stream::select_all(streams).boxed()))
}
