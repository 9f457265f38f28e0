//! Nodes that are not well: their conditions become taints, and taints with the effect NoExecute drive pods away
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).

mod decide;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PropagationPolicy},
};
use serde_json::json;

use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    frame, pods,
    queue::{Key, Queue},
};

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    recorder: Recorder,
    queue: Queue<Key>,
    /// Since when a pod has been on a node with taints that it tolerates for a while, by UID.
    since: Arc<Mutex<HashMap<String, Timestamp>>>,
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        let recorder = context.recorder.named("taint-eviction-controller");
        Self { context: context.clone(), recorder, queue: Queue::new(), since: Arc::default() }
    }

    pub(super) fn on_node(&self) -> Handler<Node> {
        frame::own(&self.queue)
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        Box::new(move |change| match change {
            Change::Applied { old, new } => {
                let node = new.spec.as_ref().and_then(|spec| spec.node_name.clone());
                let known = old.as_ref().and_then(|old| old.spec.as_ref()?.node_name.clone());
                if let Some(node) = node.filter(|node| known.as_ref() != Some(node)) {
                    this.queue.add((String::new(), node));
                }
            }
            Change::Deleted(pod) => {
                let mut since = this.since.lock().unwrap_or_else(PoisonError::into_inner);
                since.remove(&pod.uid().unwrap_or_default());
            }
            Change::Relisted => {}
        })
    }

    pub(super) async fn run(self) {
        let caches = self.context.caches.clone();
        caches.nodes.ready().await;
        caches.pods.ready().await;
        let queue = self.queue.clone();
        frame::work("nodes", queue, self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(node) = self.context.caches.nodes.get("", &key.1) else { return Ok(()) };
        let present = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let wanted = decide::taints(&node, &pods::now());
        if wanted != present {
            let metadata = json!({"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version});
            let patch = json!({"metadata": metadata, "spec": {"taints": wanted}});
            let api: Api<Node> = Api::all(self.context.client.clone());
            // The node comes again with its taints.
            return context::gone_is_fine(api.patch(&key.1, &context::patch(), &Patch::Merge(patch)).await);
        }
        for pod in self.context.caches.pods.all() {
            let here = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&key.1);
            if here && pods::is_active(&pod) {
                self.judge(key, &pod, &present).await?;
            }
        }
        Ok(())
    }

    async fn judge(&self, key: &Key, pod: &Pod, taints: &[k8s_openapi::api::core::v1::Taint]) -> kube::Result<()> {
        let uid = pod.uid().unwrap_or_default();
        let Some(stay) = decide::stay(pod, taints) else {
            self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
            return Ok(());
        };
        let now = Timestamp::now();
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner).entry(uid).or_insert(now);
        let left = stay.saturating_sub(now.duration_since(since).unsigned_abs());
        if left > Duration::ZERO {
            self.queue.add_after(key.clone(), left);
            return Ok(());
        }
        let (namespace, name) = frame::key(pod);
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.recorder.record(pod, Severity::Normal, "TaintManagerEviction", message);
        let parameters = context::delete(pod.uid(), PropagationPolicy::Background);
        context::gone_is_fine(self.context.api::<Pod>(&namespace).delete(&name, &parameters).await)
    }
}
