//! The scheduler: binds each pod to a node that takes it.

mod claims;
mod fit;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

pub(super) use self::fit::{suits, tolerates};
use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    frame::{self, key},
    pods,
    queue::{Key, Queue},
};

/// The name that pods ask for in `schedulerName`.
const NAME: &str = "default-scheduler";
/// The name under which writes appear in managedFields.
const MANAGER: &str = "kube-scheduler";

/// The scheduler's work and what it waits for.
#[derive(Clone)]
pub(super) struct Scheduler {
    context: Context,
    recorder: Recorder,
    queue: Queue<Key>,
    // Bound, and not yet so in the cache: their room is taken. By UID.
    assumed: Arc<Mutex<HashMap<String, Arc<Pod>>>>,
}

impl Scheduler {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            recorder: context.recorder.named(NAME),
            queue: Queue::new(),
            assumed: Arc::default(),
        }
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        Box::new(move |change| match change {
            Change::Applied { old, new } => {
                if is_bound(new) {
                    this.forget(new);
                } else {
                    // The scheduler's own word on the pod is no reason to look at it again.
                    let same = old.as_ref().is_some_and(|old| {
                        old.spec == new.spec && old.metadata.labels == new.metadata.labels && !pods::is_terminal(new)
                    });
                    if !same {
                        this.queue.add(key(&**new));
                    }
                }
                if pods::is_terminal(new) && old.as_ref().is_some_and(|old| !pods::is_terminal(old)) {
                    this.retry_all();
                }
            }
            Change::Deleted(pod) => {
                this.forget(pod);
                this.retry_all();
            }
            Change::Relisted => {}
        })
    }

    pub(super) fn on_node(&self) -> Handler<Node> {
        let this = self.clone();
        Box::new(move |change| {
            if let Change::Applied { old, new } = change {
                // Heartbeats change neither.
                let same = old.as_ref().is_some_and(|old| {
                    let room = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
                    old.spec == new.spec && old.metadata.labels == new.metadata.labels && room(old) == room(new)
                });
                if !same {
                    this.retry_all();
                }
            }
        })
    }

    /// A pod is placed when its claims are bound.
    pub(super) fn on_claim(&self) -> Handler<PersistentVolumeClaim> {
        let this = self.clone();
        frame::dependents(move |_| this.retry_all())
    }

    fn forget(&self, pod: &Pod) {
        let mut assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        assumed.remove(&pod.uid().unwrap_or_default());
    }

    fn retry_all(&self) {
        let waiting = self.context.caches.pods.all();
        waiting.iter().filter(|pod| !is_bound(pod)).for_each(|pod| self.queue.add(key(&**pod)));
    }

    pub(super) async fn run(self) {
        self.context.caches.pods.ready().await;
        self.context.caches.nodes.ready().await;
        self.context.caches.claims.ready().await;
        self.context.caches.storage_classes.ready().await;
        frame::work("scheduler", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(pod) = self.context.caches.pods.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = &pod.spec else { return Ok(()) };
        let ours = spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME;
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        if is_bound(&pod) || !ours || gated || !pods::is_active(&pod) || self.is_assumed(&pod) {
            return Ok(());
        }
        let unbound = match claims::unbound(&self.context, &pod) {
            Ok(unbound) => unbound,
            Err(message) => {
                let nodes = self.context.caches.nodes.all().len();
                return self.refuse(&pod, fit::explain_early(&message, nodes)).await;
            }
        };
        let mut misfits = Vec::new();
        let mut best: Option<(usize, String)> = None;
        let placed = self.placed();
        for node in self.context.caches.nodes.all() {
            let name = node.name_any();
            let present = fit::on_node(placed.iter(), &name);
            match fit::misfit_of(&pod, &node, &present) {
                Some(misfit) => misfits.push(misfit),
                // The emptiest one.
                None if best.as_ref().is_none_or(|(least, _)| present.len() < *least) => {
                    best = Some((present.len(), name));
                }
                None => {}
            }
        }
        match best {
            // The pod comes again when they are bound.
            Some((_, node)) if !unbound.is_empty() => claims::select(&self.context, &unbound, &node).await,
            Some((_, node)) => self.bind(&pod, &node).await,
            None => self.refuse(&pod, fit::explain(&misfits)).await,
        }
    }

    fn is_assumed(&self, pod: &Pod) -> bool {
        let assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        assumed.contains_key(&pod.uid().unwrap_or_default())
    }

    fn placed(&self) -> Vec<Arc<Pod>> {
        let mut placed = self.context.caches.pods.all();
        placed.retain(|pod| is_bound(pod));
        let assumed = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        placed.extend(assumed.values().cloned());
        placed
    }

    async fn bind(&self, pod: &Arc<Pod>, node: &str) -> kube::Result<()> {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let binding = Binding {
            // The UID keeps a new pod of the same name from being bound by an old decision.
            metadata: ObjectMeta { name: Some(name.clone()), uid: pod.uid(), ..ObjectMeta::default() },
            target: ObjectReference {
                kind: Some("Node".into()),
                name: Some(node.into()),
                ..ObjectReference::default()
            },
        };
        let mut bound = (**pod).clone();
        if let Some(spec) = &mut bound.spec {
            spec.node_name = Some(node.into());
        }
        let uid = pod.uid().unwrap_or_default();
        self.assumed.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, Arc::new(bound));
        let parameters = PostParams { field_manager: Some(MANAGER.into()), dry_run: false };
        let api = self.context.api::<Pod>(&namespace);
        match api.create_subresource::<_, serde_json::Value>("binding", &name, &parameters, &binding).await {
            Ok(_) => {
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder.record_action(&**pod, Severity::Normal, "Scheduled", "Binding", message);
                Ok(())
            }
            Err(error) => {
                self.forget(pod);
                // Bound by somebody else, replaced or gone.
                if matches!(context::code(&error), 404 | 409) { Ok(()) } else { Err(error) }
            }
        }
    }

    async fn refuse(&self, pod: &Pod, message: String) -> kube::Result<()> {
        self.recorder.record_action(pod, Severity::Warning, "FailedScheduling", "Scheduling", message.clone());
        let present = pods::condition(pod, "PodScheduled");
        if present.is_some_and(|condition| {
            condition.status == "False" && condition.message.as_deref() == Some(message.as_str())
        }) {
            return Ok(());
        }
        let since = present.filter(|condition| condition.status == "False");
        let since = since.and_then(|condition| condition.last_transition_time.clone()).unwrap_or_else(pods::now);
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": pod.metadata.generation,
        });
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let api = self.context.api::<Pod>(&pod.namespace().unwrap_or_default());
        match api.patch_status(&pod.name_any(), &parameters, &Patch::Strategic(patch)).await {
            Err(error) if !matches!(context::code(&error), 404 | 409) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty())
}
