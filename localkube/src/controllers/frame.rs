//! What controllers have in common: which changes queue which objects, the loop that works on them, and taking hold of
//! what belongs to an owner.

use std::{fmt::Debug, sync::Arc};

use futures::future::join_all;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::{
    Resource, ResourceExt,
    api::{Patch, PropagationPolicy},
};
use serde::de::DeserializeOwned;

use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    expectations::Expectations,
    owners::{self, Claim},
    queue::{Key, Queue},
};

/// The namespace and name of an object.
pub(crate) fn key<K: Resource>(object: &K) -> Key {
    (object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}

/// Queues every object that comes, changes or goes.
pub(crate) fn own<K: Resource + 'static>(queue: &Queue<Key>) -> Handler<K> {
    let queue = queue.clone();
    Box::new(move |change| {
        if let Change::Applied { new: object, .. } | Change::Deleted(object) = change {
            queue.add(key(&**object));
        }
    })
}

/// Queues every object that comes or changes; of one that goes, nothing is expected any more.
pub(crate) fn own_expecting<K: Resource + 'static>(queue: &Queue<Key>, expectations: &Arc<Expectations>) -> Handler<K> {
    let (queue, expectations) = (queue.clone(), expectations.clone());
    Box::new(move |change| match change {
        Change::Applied { new, .. } => queue.add(key(&**new)),
        Change::Deleted(object) => expectations.forget(object.meta().uid.as_deref().unwrap_or_default()),
        Change::Relisted => {}
    })
}

/// Queues the controller of that kind whose pod comes, changes or goes, and notes what was expected of it.
pub(crate) fn expected_pods(kind: &'static str, queue: &Queue<Key>, expectations: &Arc<Expectations>) -> Handler<Pod> {
    let (queue, expectations) = (queue.clone(), expectations.clone());
    Box::new(move |change| {
        let (pod, going) = match change {
            Change::Applied { new, .. } => (new, new.metadata.deletion_timestamp.is_some()),
            Change::Deleted(pod) => (pod, true),
            Change::Relisted => return expectations.relisted(),
        };
        if let Some(owner) = owners::controller_of(&**pod).filter(|owner| owner.kind == kind) {
            expectations.observe(&owner.uid, &pod.uid().unwrap_or_default(), going);
            queue.add((pod.namespace().unwrap_or_default(), owner.name.clone()));
        }
    })
}

/// Tells of every object that comes, changes or goes, and of the former state where labels or owners were others: a
/// change of hands concerns both.
pub(crate) fn dependents<K: Resource + 'static>(tell: impl Fn(&K) + Send + Sync + 'static) -> Handler<K> {
    Box::new(move |change| match change {
        Change::Applied { old, new } => {
            if let Some(old) = old
                && (old.meta().labels != new.meta().labels
                    || old.meta().owner_references != new.meta().owner_references)
            {
                tell(old);
            }
            tell(new);
        }
        Change::Deleted(object) => tell(object),
        Change::Relisted => {}
    })
}

/// The key of the controller of that kind; one whose owner is of another kind, or that has none, is `None`.
pub(crate) fn owner_key<K: Resource>(object: &K, kind: &str) -> Option<Key> {
    let owner = owners::controller_of(object).filter(|owner| owner.kind == kind)?;
    Some((object.meta().namespace.clone().unwrap_or_default(), owner.name.clone()))
}

/// Works on the queue until dropped.
pub(crate) async fn work<C, F>(name: &str, queue: Queue<Key>, controller: C, sync: impl Fn(C, Key) -> F)
where
    C: Clone,
    F: Future<Output = kube::Result<()>>,
{
    loop {
        let key = queue.next().await;
        let result = sync(controller.clone(), key.clone()).await;
        queue.done(name, key, result);
    }
}

/// The candidates that are the owner's, after it took and let go what it must.
pub(crate) async fn claim<O, K>(
    context: &Context,
    owner: &O,
    selector: &LabelSelector,
    candidates: Vec<Arc<K>>,
) -> kube::Result<Vec<Arc<K>>>
where
    O: Resource<DynamicType = ()>,
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = context.api::<K>(&owner.meta().namespace.clone().unwrap_or_default());
    let mut ours = Vec::new();
    for object in candidates {
        let claim = owners::claim(owner, selector, &*object);
        let patch = match claim {
            Claim::Foreign => continue,
            Claim::Ours => {
                ours.push(object);
                continue;
            }
            Claim::Adopt => owners::adoption(owner, &*object),
            Claim::Release => owners::release(owner, &*object),
        };
        match api.patch(&object.name_any(), &context::patch(), &Patch::Strategic(patch)).await {
            Ok(object) if claim == Claim::Adopt => ours.push(Arc::new(object)),
            Ok(_) => {}
            // Gone, or another object of that name: the watch will tell.
            Err(error) if matches!(context::code(&error), 404 | 409 | 422) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ours)
}

/// Who deletes pods, and on whose behalf.
pub(crate) struct Deleter<'a, O> {
    pub(crate) context: &'a Context,
    pub(crate) recorder: &'a Recorder,
    pub(crate) expectations: &'a Expectations,
    pub(crate) owner: &'a O,
}

impl<O: Resource<DynamicType = ()>> Deleter<'_, O> {
    /// Deletes the pods at once and says so in events.
    pub(crate) async fn delete(&self, pods: &[Arc<Pod>]) -> kube::Result<()> {
        let meta = self.owner.meta();
        let owner = meta.uid.clone().unwrap_or_default();
        let api = self.context.api::<Pod>(&meta.namespace.clone().unwrap_or_default());
        let attempts = pods.iter().map(|pod| async {
            let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
            self.expectations.deleting(&owner, &uid);
            match api.delete(&name, &context::delete(pod.uid(), PropagationPolicy::Background)).await {
                Ok(_) => {
                    let message = format!("Deleted pod: {name}");
                    self.recorder.record(self.owner, Severity::Normal, "SuccessfulDelete", message);
                    Ok(())
                }
                Err(error) => {
                    self.expectations.not_deleted(&owner, &uid);
                    if matches!(context::code(&error), 404 | 409) {
                        return Ok(());
                    }
                    let message = format!("Error deleting: {}", context::words(&error));
                    self.recorder.record(self.owner, Severity::Warning, "FailedDelete", message);
                    Err(error)
                }
            }
        });
        join_all(attempts).await.into_iter().collect()
    }
}
