//! The StatefulSet controller: pods with names and volumes that stay, one after the other.

mod decide;
mod identity;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus},
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    ResourceExt,
    api::{Patch, PropagationPolicy},
};
use serde_json::json;

use self::decide::Step;
use super::{
    cache::Handler,
    context::{self, Context},
    events::{Recorder, Severity},
    frame, owners, pods,
    queue::{Key, Queue},
    replicaset,
    revisions::{self, History, Source},
};

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    recorder: Recorder,
    queue: Queue<Key>,
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        let recorder = context.recorder.named("statefulset-controller");
        Self { context: context.clone(), recorder, queue: Queue::new() }
    }

    pub(super) fn on_stateful_set(&self) -> Handler<StatefulSet> {
        frame::own(&self.queue)
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        frame::dependents(move |pod: &Pod| {
            if let Some(key) = frame::owner_key(pod, "StatefulSet") {
                this.queue.add(key);
            } else if owners::controller_of(pod).is_none() {
                for set in this.context.caches.stateful_sets.list(&pod.namespace().unwrap_or_default()) {
                    if identity::ordinal(&set, pod).is_some() {
                        this.queue.add(frame::key(&*set));
                    }
                }
            }
        })
    }

    pub(super) async fn run(self) {
        let caches = self.context.caches.clone();
        caches.stateful_sets.ready().await;
        caches.revisions.ready().await;
        caches.claims.ready().await;
        caches.pods.ready().await;
        let queue = self.queue.clone();
        frame::work("statefulset", queue, self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(set) = self.context.caches.stateful_sets.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = &set.spec else { return Ok(()) };
        let mut all = self.context.caches.pods.list(&key.0);
        all.retain(|pod| identity::ordinal(&set, pod).is_some());
        let all = frame::claim(&self.context, &*set, &spec.selector, all).await?;
        let before = set.status.clone().unwrap_or_default();
        let source = Source {
            selector: &spec.selector,
            template: &spec.template,
            collisions: before.collision_count.filter(|count| *count > 0),
            label: "controller.kubernetes.io/hash",
        };
        let history = match revisions::sync(&self.context, &*set, source).await {
            Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
            history => history?,
        };
        let update = history.update().name_any();
        // Unknown at the start, or forgotten: then the present template is the current one, too.
        let current = before.current_revision.filter(|name| history.named(name).is_some());
        let current = current.unwrap_or_else(|| update.clone());
        let now = pods::now();
        let mut result = Ok(());
        if set.metadata.deletion_timestamp.is_none() {
            let members = decide::members(&set, spec, &all);
            result = self.retain(&set, spec, &members).await;
            if result.is_ok() {
                for step in decide::steps(spec, &members, &update, now.0) {
                    result = self.act(&set, spec, &history, &current, step).await;
                    if result.is_err() {
                        break;
                    }
                }
            }
        }
        self.publish(&set, decide::status(&set, &all, &current, &update, history.collisions, now.0)).await?;
        let mut used: HashSet<String> = [current, update].into();
        used.extend(all.iter().filter_map(|pod| pod.labels().get(revisions::LABEL).cloned()));
        revisions::forget(&self.context, &history, &used, spec.revision_history_limit).await?;
        if let Some(seconds) = replicaset::next_available(&all, spec.min_ready_seconds.unwrap_or(0), now.0) {
            self.queue.add_after(key.clone(), Duration::from_secs(seconds));
        }
        result
    }

    async fn act(
        &self,
        set: &StatefulSet,
        spec: &StatefulSetSpec,
        history: &History,
        current: &str,
        step: Step,
    ) -> kube::Result<()> {
        match step {
            Step::Create { ordinal, current: old } => {
                let revision = history.named(current).filter(|_| old).unwrap_or_else(|| history.update());
                let template = revisions::template(revision).unwrap_or_else(|| spec.template.clone());
                let pod = identity::pod(set, template, &revision.name_any(), ordinal);
                self.create(set, spec, &pod, ordinal).await
            }
            Step::Delete(pod) => self.delete(set, &pod).await,
        }
    }

    /// Makes the claims of a pod that are missing, then the pod.
    async fn create(&self, set: &StatefulSet, spec: &StatefulSetSpec, pod: &Pod, ordinal: i32) -> kube::Result<()> {
        let (namespace, name, of) = (set.namespace().unwrap_or_default(), pod.name_any(), set.name_any());
        for mut claim in identity::claims(set, spec, ordinal).into_values() {
            let claim_name = claim.name_any();
            let what = format!("Claim {claim_name} Pod {name} in StatefulSet {of}");
            if let Some(present) = self.context.caches.claims.get(&namespace, &claim_name) {
                if present.metadata.deletion_timestamp.is_some() {
                    // Its successor is made when it is gone, which the pod's own events don't tell.
                    self.queue.add_after(frame::key(set), Duration::from_secs(1));
                    return Ok(());
                }
                continue;
            }
            claim.metadata.owner_references = identity::owner_of_claim(set, None, false).map(|owner| vec![owner]);
            match self.context.api::<PersistentVolumeClaim>(&namespace).create(&context::write(), &claim).await {
                Ok(_) => self.told(set, "SuccessfulCreate", format!("create {what} success")),
                Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
                Err(error) if context::code(&error) == 409 => {}
                Err(error) => {
                    let words = context::words(&error);
                    let message = format!("create {what} failed error: {words}");
                    self.recorder.record(set, Severity::Warning, "FailedCreate", message);
                    let message = format!(
                        "create Pod {name} in StatefulSet {of} failed error: failed to create PVC {claim_name}: {words}"
                    );
                    self.recorder.record(set, Severity::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        match self.context.api::<Pod>(&namespace).create(&context::write(), pod).await {
            Ok(_) => self.told(set, "SuccessfulCreate", format!("create Pod {name} in StatefulSet {of} successful")),
            // The name keeps it from being doubled.
            Err(error) if context::code(&error) == 409 || context::is_namespace_terminating(&error) => {}
            Err(error) => {
                let message = format!("create Pod {name} in StatefulSet {of} failed error: {}", context::words(&error));
                self.recorder.record(set, Severity::Warning, "FailedCreate", message);
                return Err(error);
            }
        }
        Ok(())
    }

    fn told(&self, set: &StatefulSet, reason: &'static str, message: String) {
        self.recorder.record(set, Severity::Normal, reason, message);
    }

    async fn delete(&self, set: &StatefulSet, pod: &Arc<Pod>) -> kube::Result<()> {
        let (name, of) = (pod.name_any(), set.name_any());
        let api = self.context.api::<Pod>(&set.namespace().unwrap_or_default());
        match api.delete(&name, &context::delete(pod.uid(), PropagationPolicy::Background)).await {
            Ok(_) => self.told(set, "SuccessfulDelete", format!("delete Pod {name} in StatefulSet {of} successful")),
            Err(error) if matches!(context::code(&error), 404 | 409) => {}
            Err(error) => {
                let message = format!("delete Pod {name} in StatefulSet {of} failed error: {}", context::words(&error));
                self.recorder.record(set, Severity::Warning, "FailedDelete", message);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings the owners of claims in line with the retention policy, before a surplus pod goes.
    async fn retain(&self, set: &StatefulSet, spec: &StatefulSetSpec, members: &decide::Members) -> kube::Result<()> {
        let namespace = set.namespace().unwrap_or_default();
        let api = self.context.api::<PersistentVolumeClaim>(&namespace);
        let wanted = members.wanted.values().map(|pod| (pod, false));
        for (pod, condemned) in wanted.chain(members.condemned.iter().map(|pod| (pod, true))) {
            let Some(ordinal) = identity::ordinal(set, pod) else { continue };
            for claim in identity::claims(set, spec, ordinal).into_values() {
                let Some(present) = self.context.caches.claims.get(&namespace, &claim.name_any()) else { continue };
                let owner = identity::owner_of_claim(set, Some(pod), condemned);
                let is_ours = |kind: &str| kind == "StatefulSet" || kind == "Pod";
                let mut owners = present.owner_references().to_vec();
                owners.retain(|owner| !is_ours(&owner.kind) || owner.controller != Some(true));
                owners.extend(owner);
                if owners != present.owner_references() {
                    let patch = json!({"metadata": {"uid": present.metadata.uid, "ownerReferences": owners}});
                    let patched = api.patch(&present.name_any(), &context::patch(), &Patch::Merge(patch)).await;
                    context::gone_is_fine(patched)?;
                }
            }
        }
        Ok(())
    }

    async fn publish(&self, set: &StatefulSet, status: StatefulSetStatus) -> kube::Result<()> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut updated = set.clone();
        updated.status = Some(status);
        let api = self.context.api::<StatefulSet>(&set.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&set.name_any(), &context::write(), &updated).await)
    }
}
