//! A watched copy of every object of one kind, shared by all controllers of the process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock},
};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// What happened to one object. Missed events come as the difference that a fresh list shows, so that nothing needs a
/// periodic resync.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// Created, or changed from `old`.
    Applied {
        /// The object as it was known before.
        old: Option<Arc<K>>,
        /// The object now.
        new: Arc<K>,
    },
    /// Gone; the last known state.
    Deleted(Arc<K>),
    /// The changes since the previous list have all been told: what was expected and has not come by now has come and
    /// gone unseen.
    Relisted,
}

pub(crate) type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

type Objects<K> = HashMap<String, BTreeMap<String, Arc<K>>>;

/// The objects by namespace and name.
#[derive(Debug)]
pub(crate) struct Cache<K> {
    objects: RwLock<Objects<K>>,
    ready: watch::Sender<bool>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self { objects: RwLock::new(HashMap::new()), ready: watch::Sender::new(false) }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static> Cache<K> {
    /// One object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(namespace)?.get(name).cloned()
    }

    /// The objects of one namespace, by name.
    pub(crate) fn list(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(namespace).map(|inside| inside.values().cloned().collect()).unwrap_or_default()
    }

    /// The objects of all namespaces.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Waits for the first list.
    pub(crate) async fn ready(&self) {
        // The sender lives as long as self, so that waiting can't fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Keeps the copy up to date and tells the handlers, until dropped.
    pub(crate) async fn feed(self: Arc<Self>, client: Client, handlers: Vec<Handler<K>>) {
        let events = watcher::watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff().filter_map(
            async |event| {
                event.inspect_err(|error| tracing::debug!(kind = %K::kind(&()), %error, "watch broke, retrying")).ok()
            },
        );
        pin_mut!(events);
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            let changes = match event {
                Event::Init => {
                    listed.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    listed.push(slim(object));
                    continue;
                }
                Event::InitDone => self.replace(std::mem::take(&mut listed)),
                Event::Apply(object) => vec![self.apply(slim(object))],
                Event::Delete(object) => vec![self.remove(slim(object))],
            };
            for change in &changes {
                handlers.iter().for_each(|handler| handler(change));
            }
            if matches!(changes.last(), Some(Change::Relisted)) {
                self.ready.send_replace(true);
            }
        }
    }

    fn apply(&self, object: K) -> Change<K> {
        let (namespace, name) = place(&object);
        let new = Arc::new(object);
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let old = objects.entry(namespace).or_default().insert(name, new.clone());
        Change::Applied { old, new }
    }

    fn remove(&self, object: K) -> Change<K> {
        let (namespace, name) = place(&object);
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(inside) = objects.get_mut(&namespace) {
            inside.remove(&name);
            if inside.is_empty() {
                objects.remove(&namespace);
            }
        }
        Change::Deleted(Arc::new(object))
    }

    fn replace(&self, listed: Vec<K>) -> Vec<Change<K>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *objects);
        let mut changes = Vec::with_capacity(listed.len() + 1);
        for object in listed {
            let (namespace, name) = place(&object);
            let old = before.get_mut(&namespace).and_then(|inside| inside.remove(&name));
            let new = Arc::new(object);
            objects.entry(namespace).or_default().insert(name, new.clone());
            if old.as_ref().is_none_or(|old| old.meta().resource_version != new.meta().resource_version) {
                changes.push(Change::Applied { old, new });
            }
        }
        changes.extend(before.into_values().flat_map(BTreeMap::into_values).map(Change::Deleted));
        changes.push(Change::Relisted);
        changes
    }
}

/// managedFields are half of a small object's size and no controller reads them; an update that leaves them out keeps
/// the server's.
fn slim<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}
