//! The ReplicaSet controller: as many pods as asked for, no more and no less.

mod decide;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ReplicaSet, ReplicaSetStatus},
    core::v1::Pod,
};
use kube::ResourceExt;

pub(super) use self::decide::next_available;
use self::decide::{Failure, Scale};
use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    expectations::{self, Expectations},
    frame::{self, Deleter, key},
    owners, pods,
    queue::{Key, Queue},
};

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    recorder: Recorder,
    queue: Queue<Key>,
    expectations: Arc<Expectations>,
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            recorder: context.recorder.named("replicaset-controller"),
            queue: Queue::new(),
            expectations: Arc::default(),
        }
    }

    pub(super) fn on_replica_set(&self) -> Handler<ReplicaSet> {
        frame::own_expecting(&self.queue, &self.expectations)
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        Box::new(move |change| match change {
            Change::Applied { old, new } => {
                this.pod_changed(new, new.metadata.deletion_timestamp.is_some());
                // A pod that was let go, or taken from another, concerns both.
                if let Some(old) = old
                    && old.metadata.owner_references != new.metadata.owner_references
                {
                    this.pod_changed(old, true);
                }
            }
            Change::Deleted(pod) => this.pod_changed(pod, true),
            Change::Relisted => {
                this.expectations.relisted();
                this.context.caches.replica_sets.all().iter().for_each(|set| this.queue.add(key(&**set)));
            }
        })
    }

    fn pod_changed(&self, pod: &Pod, going: bool) {
        let namespace = pod.namespace().unwrap_or_default();
        match owners::controller_of(pod) {
            Some(owner) if owner.kind == "ReplicaSet" => {
                self.expectations.observe(&owner.uid, &pod.uid().unwrap_or_default(), going);
                self.queue.add((namespace, owner.name.clone()));
            }
            Some(_) => {}
            None => {
                for set in self.context.caches.replica_sets.list(&namespace) {
                    if set.spec.as_ref().is_some_and(|spec| owners::selects(&spec.selector, pod.labels())) {
                        self.queue.add(key(&*set));
                    }
                }
            }
        }
    }

    pub(super) async fn run(self) {
        self.context.caches.replica_sets.ready().await;
        self.context.caches.pods.ready().await;
        frame::work("replicaset", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(set) = self.context.caches.replica_sets.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = &set.spec else { return Ok(()) };
        let uid = set.uid().unwrap_or_default();
        // Asked before the pods are read: what the cache shows later than this only makes the count more exact.
        let met = self.expectations.met(&uid);
        if !met {
            self.queue.add_after(key.clone(), expectations::LOOK_AGAIN);
        }
        let may_act = met && set.metadata.deletion_timestamp.is_none();
        let all = self.context.caches.pods.list(&key.0);
        let candidates = all.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        let mut active = frame::claim(&self.context, &*set, &spec.selector, candidates).await?;
        let mut result = Ok(());
        if may_act {
            let related = self.related(&set, &all);
            result = match decide::scale(spec.replicas.unwrap_or(1), &active, &related, Timestamp::now()) {
                Scale::Right => Ok(()),
                Scale::Create(count) => self.create(&set, &uid, count).await.map_err(|error| ("FailedCreate", error)),
                Scale::Delete(surplus) => self.delete(&set, &surplus).await.map_err(|error| ("FailedDelete", error)),
            };
        }
        // A status that still counts pods on their way out would let a rollout count on them.
        active.retain(|pod| !self.expectations.is_leaving(&uid, &pod.uid().unwrap_or_default()));
        let words = result.as_ref().err().map(|(reason, error)| (*reason, context::words(error)));
        let failure = words.as_ref().map(|(reason, message)| Failure { reason, message });
        let terminating =
            all.iter().filter(|pod| pods::is_terminating(pod) && owners::is_controlled_by(&***pod, &uid)).count();
        let mut status = decide::status(&set, &active, terminating, failure, &pods::now());
        if !may_act {
            // Nothing was tried, so that nothing is known about the failure.
            status.conditions = set.status.as_ref().and_then(|status| status.conditions.clone());
        }
        self.publish(&set, status).await?;
        let min_ready = spec.min_ready_seconds.unwrap_or(0);
        if min_ready > 0
            && let Some(seconds) = next_available(&active, min_ready, Timestamp::now())
        {
            self.queue.add_after(key.clone(), Duration::from_secs(seconds));
        }
        result.map_err(|(_, error)| error)
    }

    /// The active pods of all ReplicaSets with the same owner: those on crowded nodes go first.
    fn related(&self, set: &ReplicaSet, all: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let owner = owners::controller_of(set).map(|owner| owner.uid.clone());
        let sets = self.context.caches.replica_sets.list(&set.namespace().unwrap_or_default());
        let siblings: Vec<String> = sets
            .iter()
            .filter(|other| {
                other.metadata.uid == set.metadata.uid
                    || owner.as_ref().is_some_and(|uid| owners::is_controlled_by(&***other, uid))
            })
            .filter_map(|set| set.uid())
            .collect();
        let is_related = |pod: &Pod| {
            pods::is_active(pod) && owners::controller_of(pod).is_some_and(|owner| siblings.contains(&owner.uid))
        };
        all.iter().filter(|pod| is_related(pod)).cloned().collect()
    }

    /// Creates pods in batches of 1, 2, 4 …, so that a pod that can't be created is tried once and not a hundred times.
    async fn create(&self, set: &ReplicaSet, uid: &str, count: usize) -> kube::Result<()> {
        let api = self.context.api::<Pod>(&set.namespace().unwrap_or_default());
        let pod = decide::pod_of(set);
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            let attempts = (0..batch.min(left)).map(|_| async {
                let created = api.create(&context::write(), &pod).await;
                if let Ok(pod) = &created {
                    self.expectations.created(uid, &pod.uid().unwrap_or_default());
                    let message = format!("Created pod: {}", pod.name_any());
                    self.recorder.record(set, Severity::Normal, "SuccessfulCreate", message);
                }
                created
            });
            let results = join_all(attempts).await;
            left -= results.len();
            batch *= 2;
            if let Some(error) = results.into_iter().find_map(Result::err) {
                if context::is_namespace_terminating(&error) {
                    return Ok(());
                }
                let message = format!("Error creating: {}", context::words(&error));
                self.recorder.record(set, Severity::Warning, "FailedCreate", message);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn delete(&self, set: &ReplicaSet, surplus: &[Arc<Pod>]) -> kube::Result<()> {
        let Self { context, recorder, expectations, .. } = self;
        Deleter { context, recorder, expectations, owner: set }.delete(surplus).await
    }

    async fn publish(&self, set: &ReplicaSet, status: ReplicaSetStatus) -> kube::Result<()> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut updated = set.clone();
        updated.status = Some(status);
        let api = self.context.api::<ReplicaSet>(&set.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&set.name_any(), &context::write(), &updated).await)
    }
}
