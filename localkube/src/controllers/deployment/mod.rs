//! The Deployment controller: rolls pods from one template to the next through ReplicaSets.

mod annotations;
mod decide;
mod status;
mod template;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{ResourceExt, api::PropagationPolicy};

use self::{
    decide::{Resize, Sets},
    status::Progress,
};
use super::{
    cache::{Change, Handler},
    context::{self, Context},
    events::{Recorder, Severity},
    frame, owners, pods,
    queue::{Key, Queue},
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
        let recorder = context.recorder.named("deployment-controller");
        Self { context: context.clone(), recorder, queue: Queue::new() }
    }

    pub(super) fn on_deployment(&self) -> Handler<Deployment> {
        frame::own(&self.queue)
    }

    pub(super) fn on_replica_set(&self) -> Handler<ReplicaSet> {
        let this = self.clone();
        frame::dependents(move |set| this.set_changed(set))
    }

    fn set_changed(&self, set: &ReplicaSet) {
        let namespace = set.namespace().unwrap_or_default();
        match owners::controller_of(set) {
            Some(owner) if owner.kind == "Deployment" => self.queue.add((namespace, owner.name.clone())),
            Some(_) => {}
            None => {
                for deployment in self.context.caches.deployments.list(&namespace) {
                    if deployment.spec.as_ref().is_some_and(|spec| owners::selects(&spec.selector, set.labels())) {
                        self.queue.add((namespace.clone(), deployment.name_any()));
                    }
                }
            }
        }
    }

    /// Recreate waits for the last old pod to be gone, which no ReplicaSet tells.
    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        Box::new(move |change| {
            let Change::Deleted(pod) = change else { return };
            let namespace = pod.namespace().unwrap_or_default();
            let Some(owner) = owners::controller_of(&**pod).filter(|owner| owner.kind == "ReplicaSet") else { return };
            if let Some(set) = this.context.caches.replica_sets.get(&namespace, &owner.name) {
                this.set_changed(&set);
            }
        })
    }

    pub(super) async fn run(self) {
        self.context.caches.deployments.ready().await;
        self.context.caches.replica_sets.ready().await;
        self.context.caches.pods.ready().await;
        frame::work("deployment", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(cached) = self.context.caches.deployments.get(&key.0, &key.1) else { return Ok(()) };
        let Some(spec) = &cached.spec else { return Ok(()) };
        let now = pods::now();
        if owners::selects_all(&spec.selector) {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.record(&*cached, Severity::Warning, "SelectingAll", message);
            return Ok(());
        }
        let candidates = self.context.caches.replica_sets.list(&key.0);
        let mut sets = Sets::of(&cached, frame::claim(&self.context, &*cached, &spec.selector, candidates).await?);
        let mut deployment = (*cached).clone();
        if cached.metadata.deletion_timestamp.is_some() {
            deployment.status = Some(status::counted(&deployment, &sets, &now));
            return self.publish(&cached, &deployment).await;
        }
        status::note_pause(&mut deployment, &now);
        let standing = spec.paused == Some(true) || decide::is_scaling(&cached, &sets);
        let result = self.reconcile(&mut deployment, &mut sets).await;
        // Even a step that failed leaves something to report.
        deployment.status = Some(if standing {
            status::counted(&deployment, &sets, &now)
        } else {
            status::rollout(&deployment, &sets, &now)
        });
        self.publish(&cached, &deployment).await?;
        if let Some(status) = &deployment.status
            && let Some(seconds) = status::seconds_to_deadline(&deployment, status, &now)
        {
            self.queue.add_after(key.clone(), Duration::from_secs(seconds));
        }
        result
    }

    async fn reconcile(&self, deployment: &mut Deployment, sets: &mut Sets) -> kube::Result<()> {
        let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
        if paused || decide::is_scaling(deployment, sets) {
            self.refresh_new(deployment, sets).await?;
            self.resize(deployment, sets, decide::scale(deployment, sets)).await?;
            return if paused { self.forget(deployment, sets).await } else { Ok(()) };
        }
        if decide::is_rolling(deployment) {
            self.require_new(deployment, sets).await?;
            let steps = decide::roll(deployment, sets);
            if !steps.is_empty() {
                return self.resize(deployment, sets, steps).await;
            }
        } else {
            self.refresh_new(deployment, sets).await?;
            let steps = decide::stop_old(sets);
            if !steps.is_empty() {
                return self.resize(deployment, sets, steps).await;
            }
            if self.old_pods_run(sets) {
                return Ok(());
            }
            self.require_new(deployment, sets).await?;
            let wanted = decide::replicas(deployment);
            let steps = sets.new.iter().filter(|set| decide::wanted(set) != wanted);
            let steps = steps.map(|set| Resize { set: set.clone(), to: wanted }).collect();
            self.resize(deployment, sets, steps).await?;
        }
        if deployment.status.as_ref().is_some_and(|status| status::is_complete(deployment, status)) {
            self.forget(deployment, sets).await?;
        }
        Ok(())
    }

    /// Whether a pod of an old template has not ended yet.
    fn old_pods_run(&self, sets: &Sets) -> bool {
        let old: Vec<String> = sets.old.iter().filter_map(|set| set.uid()).collect();
        let namespace = sets.old.first().and_then(|set| set.namespace()).unwrap_or_default();
        self.context.caches.pods.list(&namespace).iter().any(|pod| {
            !pods::is_terminal(pod) && owners::controller_of(&**pod).is_some_and(|owner| old.contains(&owner.uid))
        })
    }

    /// Brings the annotations of the present template's ReplicaSet up to date, if there is one.
    async fn refresh_new(&self, deployment: &mut Deployment, sets: &mut Sets) -> kube::Result<()> {
        let Some(set) = &sets.new else { return Ok(()) };
        let revision = next_revision(sets);
        let mut updated = (**set).clone();
        let mut changed = annotations::refresh(updated.annotations_mut(), deployment, revision, None);
        let min_ready =
            deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).filter(|seconds| *seconds != 0);
        if let Some(spec) = &mut updated.spec
            && spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0)
        {
            spec.min_ready_seconds = min_ready;
            changed = true;
        }
        if changed {
            let api = self.context.api::<ReplicaSet>(&set.namespace().unwrap_or_default());
            updated = api.replace(&set.name_any(), &context::write(), &updated).await?;
        }
        deployment.annotations_mut().insert(annotations::REVISION.into(), annotations::revision(&updated).to_string());
        if status::has_no_progress(deployment) {
            let message = format!("Found new replica set \"{}\"", updated.name_any());
            status::note(deployment, Progress::Found, message, &pods::now());
        }
        sets.new = Some(Arc::new(updated));
        Ok(())
    }

    /// Makes sure that the present template has its ReplicaSet.
    async fn require_new(&self, deployment: &mut Deployment, sets: &mut Sets) -> kube::Result<()> {
        if sets.new.is_some() {
            return self.refresh_new(deployment, sets).await;
        }
        let revision = next_revision(sets);
        let mut set = template::replica_set(deployment);
        let size = decide::new_size(deployment, 0, sets.wanted());
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(size);
        }
        let wanted = decide::replicas(deployment);
        let sizes = Some((wanted, wanted + decide::max_surge(deployment)));
        annotations::refresh(set.annotations_mut(), deployment, revision, sizes);
        let name = set.name_any();
        let api = self.context.api::<ReplicaSet>(&deployment.namespace().unwrap_or_default());
        match api.create(&context::write(), &set).await {
            Ok(created) => {
                if size > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {size}");
                    self.recorder.record(deployment, Severity::Normal, "ScalingReplicaSet", message);
                }
                let message = format!("Created new replica set \"{name}\"");
                status::note(deployment, Progress::Created, message, &pods::now());
                deployment.annotations_mut().insert(annotations::REVISION.into(), revision.to_string());
                sets.new = Some(Arc::new(created));
                Ok(())
            }
            // Made before this process was killed, or before the cache shows it: the name keeps it from being doubled.
            Err(error) if context::code(&error) == 409 && !context::is_namespace_terminating(&error) => {
                let present = api.get(&name).await?;
                let uid = deployment.uid().unwrap_or_default();
                if owners::is_controlled_by(&present, &uid) && template::matches(deployment, &present) {
                    sets.new = Some(Arc::new(present));
                    return self.refresh_new(deployment, sets).await;
                }
                // Another template with the same hash: the count goes into the next attempt's hash.
                let status = deployment.status.get_or_insert_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                Err(error)
            }
            Err(error) if context::is_namespace_terminating(&error) => Ok(()),
            Err(error) => {
                let message = format!("Failed to create new replica set \"{name}\": {}", context::words(&error));
                self.recorder.record(deployment, Severity::Warning, "ReplicaSetCreateError", message.clone());
                status::note(deployment, Progress::Refused, message, &pods::now());
                Err(error)
            }
        }
    }

    async fn resize(&self, deployment: &Deployment, sets: &mut Sets, steps: Vec<Resize>) -> kube::Result<()> {
        let wanted = decide::replicas(deployment);
        let max = wanted + decide::max_surge(deployment);
        for Resize { set, to } in steps {
            let from = decide::wanted(&set);
            let mut updated = (*set).clone();
            let noted = annotations::resize(updated.annotations_mut(), wanted, max);
            if from == to && !noted {
                continue;
            }
            if let Some(spec) = &mut updated.spec {
                spec.replicas = Some(to);
            }
            let name = set.name_any();
            let api = self.context.api::<ReplicaSet>(&set.namespace().unwrap_or_default());
            let updated = Arc::new(api.replace(&name, &context::write(), &updated).await?);
            if from != to {
                let way = if to > from { "up" } else { "down" };
                let message = format!("Scaled {way} replica set {name} from {from} to {to}");
                self.recorder.record(deployment, Severity::Normal, "ScalingReplicaSet", message);
            }
            // The status is counted from what is there now.
            for slot in sets.old.iter_mut().chain(&mut sets.new) {
                if slot.metadata.uid == updated.metadata.uid {
                    *slot = updated.clone();
                }
            }
        }
        Ok(())
    }

    async fn forget(&self, deployment: &Deployment, sets: &Sets) -> kube::Result<()> {
        for set in decide::forgettable(deployment, sets) {
            let api = self.context.api::<ReplicaSet>(&set.namespace().unwrap_or_default());
            let mut parameters = context::delete(set.uid(), PropagationPolicy::Background);
            // Should it have been scaled up meanwhile, it stays.
            if let Some(preconditions) = &mut parameters.preconditions {
                preconditions.resource_version = set.resource_version();
            }
            context::gone_is_fine(api.delete(&set.name_any(), &parameters).await)?;
        }
        Ok(())
    }

    /// Writes the status and the revision, which Kubernetes writes through the status subresource too.
    async fn publish(&self, cached: &Deployment, deployment: &Deployment) -> kube::Result<()> {
        if cached.status == deployment.status && cached.metadata.annotations == deployment.metadata.annotations {
            return Ok(());
        }
        let api = self.context.api::<Deployment>(&cached.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&cached.name_any(), &context::write(), deployment).await)
    }
}

fn next_revision(sets: &Sets) -> i64 {
    sets.old.iter().map(|set| annotations::revision(set)).max().unwrap_or(0) + 1
}
