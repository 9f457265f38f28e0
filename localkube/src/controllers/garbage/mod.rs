//! The garbage collector: what lost its owners goes, and what is deleted in the foreground waits for what it owns.

mod graph;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PropagationPolicy},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};

use self::graph::{FOREGROUND, Fate, Graph, Node, ORPHAN, Place, Standing};
use super::{
    catalog::{Catalog, Kind},
    context,
    queue::Queue,
};

/// Told the namespace of each object that is gone.
pub(super) type OnGone = Arc<dyn Fn(&str) + Send + Sync>;

/// The collector's work and what it waits for.
#[derive(Clone)]
pub(super) struct Collector {
    client: Client,
    catalog: Arc<Catalog>,
    graph: Arc<Mutex<Graph>>,
    // By UID.
    queue: Queue<String>,
    on_gone: OnGone,
}

impl Collector {
    pub(super) fn new(client: Client, catalog: Arc<Catalog>, on_gone: OnGone) -> Self {
        Self { client, catalog, graph: Arc::default(), queue: Queue::new(), on_gone }
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn run(self) {
        tokio::join!(self.watch_all(), self.collect());
    }

    async fn collect(&self) {
        loop {
            let uid = self.queue.next().await;
            let result = self.sync(&uid).await;
            self.queue.done("garbage", uid, result);
        }
    }

    /// Watches every kind there is.
    async fn watch_all(&self) {
        let mut kinds = self.catalog.subscribe();
        let mut tasks = JoinSet::new();
        let mut watched: HashMap<Kind, AbortHandle> = HashMap::new();
        loop {
            let present = kinds.borrow_and_update().clone();
            watched.retain(|kind, task| {
                let stays = present.contains(kind);
                if !stays {
                    task.abort();
                }
                stays
            });
            for kind in present.iter().filter(|kind| kind.resource.kind != "Event") {
                if !watched.contains_key(kind) {
                    let task = tasks.spawn(self.clone().watch(kind.clone()));
                    watched.insert(kind.clone(), task);
                }
            }
            if kinds.changed().await.is_err() {
                return;
            }
        }
    }

    async fn watch(self, kind: Kind) {
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.client.clone(), &kind.resource);
        let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let is_definition = kind.resource.kind == "CustomResourceDefinition";
        // What this watch has shown, so that a fresh list tells what is gone.
        let mut known: HashMap<String, String> = HashMap::new();
        let mut listed: HashMap<String, String> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    if let Some((uid, namespace)) = self.applied(&kind, &object) {
                        listed.insert(uid, namespace);
                    }
                }
                Ok(Event::InitDone) => {
                    for (uid, namespace) in known.drain().filter(|(uid, _)| !listed.contains_key(uid)) {
                        self.gone(&uid, &namespace);
                    }
                    known = std::mem::take(&mut listed);
                }
                Ok(Event::Apply(object)) => {
                    if is_definition {
                        self.catalog.refresh();
                    }
                    if let Some((uid, namespace)) = self.applied(&kind, &object) {
                        known.insert(uid, namespace);
                    }
                }
                Ok(Event::Delete(object)) => {
                    if is_definition {
                        self.catalog.refresh();
                    }
                    let uid = object.metadata.uid.unwrap_or_default();
                    known.remove(&uid);
                    self.gone(&uid, object.metadata.namespace.as_deref().unwrap_or_default());
                }
                Err(error) => tracing::debug!(kind = kind.resource.kind, %error, "watch broke, retrying"),
            }
        }
    }

    fn applied(&self, kind: &Kind, object: &PartialObjectMeta<DynamicObject>) -> Option<(String, String)> {
        let uid = object.metadata.uid.clone()?;
        let place = Place {
            api_version: kind.resource.api_version.clone(),
            kind: kind.resource.kind.clone(),
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        };
        let namespace = place.namespace.clone();
        let affected = self.graph().apply(&uid, Node::of(place, &object.metadata));
        affected.into_iter().for_each(|uid| self.queue.add(uid));
        Some((uid, namespace))
    }

    fn gone(&self, uid: &str, namespace: &str) {
        let affected = self.graph().remove(uid);
        affected.into_iter().for_each(|uid| self.queue.add(uid));
        if !namespace.is_empty() {
            (self.on_gone)(namespace);
        }
    }

    async fn sync(&self, uid: &str) -> kube::Result<()> {
        let Some(node) = self.graph().get(uid).cloned() else { return Ok(()) };
        if node.orphan {
            return self.let_go(uid, &node).await;
        }
        if node.foreground {
            let blocking = self.graph().blocking(uid);
            if blocking.is_empty() {
                return self.drop_finalizer(uid, &node, FOREGROUND).await;
            }
            for dependent in blocking {
                self.queue.add(dependent);
            }
            return Ok(());
        }
        if node.deleting || node.owners.is_empty() {
            return Ok(());
        }
        self.judge(uid, &node).await
    }

    /// Deletes the object if no owner is left, by what the server says now.
    async fn judge(&self, uid: &str, node: &Node) -> kube::Result<()> {
        // Most objects have their owner, and the graph knows it: no question asked.
        if let Fate::Stays = graph::fate(&self.known_standings(node), false) {
            return Ok(());
        }
        let Some(api) = self.api(&node.place) else { return Ok(()) };
        let Some(live) = live(&api, uid, &node.place.name).await? else { return Ok(()) };
        if live.deletion_timestamp.is_some() {
            return Ok(());
        }
        let owners = live.owner_references.clone().unwrap_or_default();
        let mut standings = Vec::with_capacity(owners.len());
        for owner in &owners {
            standings.push((owner.uid.clone(), self.standing(owner, &node.place.namespace).await?));
        }
        let has_dependents = !self.graph().dependents(uid).is_empty();
        match graph::fate(&standings, has_dependents) {
            Fate::Stays => Ok(()),
            Fate::Drops(lost) => {
                let patch = without_owners(&live, &lost);
                context::gone_is_fine(api.patch(&node.place.name, &context::patch(), &Patch::Merge(patch)).await)
            }
            Fate::Deleted { foreground } => {
                let has = |name: &str| live.finalizers.iter().flatten().any(|finalizer| finalizer == name);
                let propagation = if foreground || has(FOREGROUND) {
                    PropagationPolicy::Foreground
                } else if has(ORPHAN) {
                    PropagationPolicy::Orphan
                } else {
                    PropagationPolicy::Background
                };
                let mut parameters = context::delete(Some(uid.to_owned()), propagation);
                // An owner gained meanwhile saves it.
                if let Some(preconditions) = &mut parameters.preconditions {
                    preconditions.resource_version.clone_from(&live.resource_version);
                }
                context::gone_is_fine(api.delete(&node.place.name, &parameters).await)
            }
        }
    }

    /// The owners' standings as the graph knows them; those it doesn't know count as absent.
    fn known_standings(&self, node: &Node) -> Vec<(String, Standing)> {
        let graph = self.graph();
        let standing = |owner: &OwnerReference| match graph.get(&owner.uid) {
            Some(known) if !is_near(known, &node.place.namespace) => Standing::Absent,
            Some(known) if known.foreground && owner.block_owner_deletion == Some(true) => Standing::Waiting,
            Some(known) if known.foreground => Standing::Waiting,
            Some(_) => Standing::Solid,
            None => Standing::Absent,
        };
        node.owners.iter().map(|owner| (owner.uid.clone(), standing(owner))).collect()
    }

    async fn standing(&self, owner: &OwnerReference, namespace: &str) -> kube::Result<Standing> {
        if let Some(known) = self.graph().get(&owner.uid)
            && is_near(known, namespace)
        {
            return Ok(if known.foreground { Standing::Waiting } else { Standing::Solid });
        }
        let place = Place {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            namespace: namespace.to_owned(),
            name: owner.name.clone(),
        };
        // Nothing is deleted on the word of a kind that nobody knows.
        let Some(api) = self.api(&place) else { return Ok(Standing::Solid) };
        let Some(live) = live(&api, &owner.uid, &owner.name).await? else { return Ok(Standing::Absent) };
        let waiting = live.deletion_timestamp.is_some()
            && live.finalizers.iter().flatten().any(|finalizer| finalizer == FOREGROUND);
        Ok(if waiting { Standing::Waiting } else { Standing::Solid })
    }

    /// Takes the owner's references out of all that it owns, then lets the owner go.
    async fn let_go(&self, uid: &str, node: &Node) -> kube::Result<()> {
        let dependents = self.graph().dependents(uid);
        for dependent in dependents {
            let Some(place) = self.graph().get(&dependent).map(|node| node.place.clone()) else { continue };
            let Some(api) = self.api(&place) else { continue };
            if let Some(live) = live(&api, &dependent, &place.name).await? {
                let patch = without_owners(&live, std::slice::from_ref(&uid.to_owned()));
                context::gone_is_fine(api.patch(&place.name, &context::patch(), &Patch::Merge(patch)).await)?;
            }
        }
        self.drop_finalizer(uid, node, ORPHAN).await
    }

    async fn drop_finalizer(&self, uid: &str, node: &Node, finalizer: &str) -> kube::Result<()> {
        let Some(api) = self.api(&node.place) else { return Ok(()) };
        let Some(live) = live(&api, uid, &node.place.name).await? else { return Ok(()) };
        let all = live.finalizers.unwrap_or_default();
        let rest: Vec<&String> = all.iter().filter(|one| *one != finalizer).collect();
        if rest.len() == all.len() {
            return Ok(());
        }
        let finalizers = if rest.is_empty() { Value::Null } else { json!(rest) };
        let patch = json!({"metadata": {"resourceVersion": live.resource_version, "finalizers": finalizers}});
        context::gone_is_fine(api.patch(&node.place.name, &context::patch(), &Patch::Merge(patch)).await)
    }

    /// Where objects of that kind are; the version may be another than the preferred one.
    fn api(&self, place: &Place) -> Option<Api<DynamicObject>> {
        let group = place.api_version.split_once('/').map_or("", |(group, _)| group);
        let kinds = self.catalog.kinds();
        let kind = kinds.iter().find(|kind| kind.resource.group == group && kind.resource.kind == place.kind)?;
        // An object outside of namespaces can't be owned by one inside.
        if kind.namespaced && place.namespace.is_empty() {
            None
        } else {
            Some(kind.api(&self.client, &place.namespace))
        }
    }
}

fn is_near(owner: &Node, namespace: &str) -> bool {
    owner.place.namespace.is_empty() || owner.place.namespace == namespace
}

/// The object's metadata, if it is still this very object.
async fn live(api: &Api<DynamicObject>, uid: &str, name: &str) -> kube::Result<Option<ObjectMeta>> {
    let found = api.get_metadata_opt(name).await?;
    Ok(found.map(|object| object.metadata).filter(|meta| meta.uid.as_deref() == Some(uid)))
}

/// The merge patch that leaves the owners out, unless the object changed meanwhile.
fn without_owners(live: &ObjectMeta, lost: &[String]) -> Value {
    let owners = live.owner_references.iter().flatten();
    let rest: Vec<&OwnerReference> = owners.filter(|owner| !lost.contains(&owner.uid)).collect();
    let owners = if rest.is_empty() { Value::Null } else { json!(rest) };
    json!({"metadata": {"resourceVersion": live.resource_version, "ownerReferences": owners}})
}
