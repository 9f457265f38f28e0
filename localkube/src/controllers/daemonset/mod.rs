//! The DaemonSet controller: one pod on every node that takes it.

mod decide;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, DaemonSetStatus},
    core::v1::{Node, Pod},
};
use kube::ResourceExt;

use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    expectations::{self, Expectations},
    frame::{self, Deleter, key},
    pods,
    queue::{Key, Queue},
    replicaset,
    revisions::{self, Source},
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
        let recorder = context.recorder.named("daemonset-controller");
        Self { context: context.clone(), recorder, queue: Queue::new(), expectations: Arc::default() }
    }

    pub(super) fn on_daemon_set(&self) -> Handler<DaemonSet> {
        frame::own_expecting(&self.queue, &self.expectations)
    }

    pub(super) fn on_node(&self) -> Handler<Node> {
        let this = self.clone();
        Box::new(move |change| {
            // Heartbeats change neither labels nor taints.
            let same = |old: &Arc<Node>, new: &Arc<Node>| old.spec == new.spec && old.labels() == new.labels();
            if !matches!(change, Change::Applied { old: Some(old), new } if same(old, new)) {
                this.context.caches.daemon_sets.all().iter().for_each(|set| this.queue.add(key(&**set)));
            }
        })
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        frame::expected_pods("DaemonSet", &self.queue, &self.expectations)
    }

    pub(super) async fn run(self) {
        let caches = self.context.caches.clone();
        caches.daemon_sets.ready().await;
        caches.revisions.ready().await;
        caches.nodes.ready().await;
        caches.pods.ready().await;
        let queue = self.queue.clone();
        frame::work("daemonset", queue, self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(set) = self.context.caches.daemon_sets.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = &set.spec else { return Ok(()) };
        let uid = set.uid().unwrap_or_default();
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        if !self.expectations.met(&uid) {
            self.queue.add_after(key.clone(), expectations::LOOK_AGAIN);
            return Ok(());
        }
        let all = self.context.caches.pods.list(&key.0);
        let all = frame::claim(&self.context, &*set, &spec.selector, all).await?;
        let source = Source {
            selector: &spec.selector,
            template: &spec.template,
            collisions: set.status.as_ref().and_then(|status| status.collision_count),
            label: revisions::LABEL,
        };
        let history = match revisions::sync(&self.context, &*set, source).await {
            Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
            history => history?,
        };
        let hash = history.update().labels().get(revisions::LABEL).cloned().unwrap_or_default();
        let now = pods::now();
        let mut plan = decide::plan(&set, &all, &self.context.caches.nodes.all(), &hash, now.0);
        plan.status.collision_count = history.collisions;
        let Self { context, recorder, expectations, .. } = self;
        let deleted = Deleter { context, recorder, expectations, owner: &*set }.delete(&plan.delete).await;
        let created = self.create(&set, &uid, &hash, &plan.create).await;
        self.publish(&set, plan.status).await?;
        let label = |pod: &Arc<Pod>| pod.labels().get(revisions::LABEL).cloned();
        let in_use: HashSet<String> = all.iter().filter_map(label).map(|hash| format!("{}-{hash}", key.1)).collect();
        revisions::forget(&self.context, &history, &in_use, spec.revision_history_limit).await?;
        if let Some(seconds) = replicaset::next_available(&all, spec.min_ready_seconds.unwrap_or(0), now.0) {
            self.queue.add_after(key.clone(), Duration::from_secs(seconds));
        }
        deleted.and(created)
    }

    async fn create(&self, set: &DaemonSet, uid: &str, hash: &str, nodes: &[String]) -> kube::Result<()> {
        let api = self.context.api::<Pod>(&set.namespace().unwrap_or_default());
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let attempts = nodes.iter().map(|node| {
            let (api, pod) = (api.clone(), decide::pod(set, &template, hash, node));
            async move { api.create(&context::write(), &pod).await }
        });
        for result in join_all(attempts).await {
            match result {
                Ok(pod) => {
                    self.expectations.created(uid, &pod.uid().unwrap_or_default());
                    let message = format!("Created pod: {}", pod.name_any());
                    self.recorder.record(set, Severity::Normal, "SuccessfulCreate", message);
                }
                Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
                Err(error) => {
                    let message = format!("Error creating: {}", context::words(&error));
                    self.recorder.record(set, Severity::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn publish(&self, set: &DaemonSet, status: DaemonSetStatus) -> kube::Result<()> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut updated = set.clone();
        updated.status = Some(status);
        let api = self.context.api::<DaemonSet>(&set.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&set.name_any(), &context::write(), &updated).await)
    }
}
