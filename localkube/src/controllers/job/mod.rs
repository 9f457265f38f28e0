//! The Job controller: runs pods to completion, so many times, with so many failures allowed.

mod decide;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{Patch, PropagationPolicy},
};
use serde_json::json;

use super::{
    cache::Handler,
    context::{self, Context},
    events::{Recorder, Severity},
    expectations::{self, Expectations},
    frame::{self, Deleter},
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
        let recorder = context.recorder.named("job-controller");
        Self { context: context.clone(), recorder, queue: Queue::new(), expectations: Arc::default() }
    }

    pub(super) fn on_job(&self) -> Handler<Job> {
        frame::own_expecting(&self.queue, &self.expectations)
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        frame::expected_pods("Job", &self.queue, &self.expectations)
    }

    pub(super) async fn run(self) {
        self.context.caches.jobs.ready().await;
        self.context.caches.pods.ready().await;
        frame::work("job", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(job) = self.context.caches.jobs.get(&key.0, &key.1) else { return self.release_orphans(key).await };
        let uid = job.uid().unwrap_or_default();
        if !self.expectations.met(&uid) {
            self.queue.add_after(key.clone(), expectations::LOOK_AGAIN);
            return Ok(());
        }
        let mut all = self.context.caches.pods.list(&key.0);
        all.retain(|pod| owners::is_controlled_by(&**pod, &uid));
        if job.metadata.deletion_timestamp.is_some() {
            return self.release(key, &all).await;
        }
        let plan = decide::plan(&job, &all, &pods::now());
        // Names first, then finalizers: killed in between, the names say what was counted.
        self.publish(&job, &plan).await?;
        self.release(key, &plan.release).await?;
        let Self { context, recorder, expectations, .. } = self;
        Deleter { context, recorder, expectations, owner: &*job }.delete(&plan.delete).await?;
        self.create(&job, &uid, plan.create).await?;
        if let Some(seconds) = plan.again {
            self.queue.add_after(key.clone(), Duration::from_secs(seconds));
        }
        self.expire(key, &job, &plan).await
    }

    async fn create(&self, job: &Job, uid: &str, count: usize) -> kube::Result<()> {
        let api = self.context.api::<Pod>(&job.namespace().unwrap_or_default());
        let pod = decide::pod_of(job);
        let results = join_all((0..count).map(|_| async { api.create(&context::write(), &pod).await })).await;
        for result in results {
            match result {
                Ok(pod) => {
                    self.expectations.created(uid, &pod.uid().unwrap_or_default());
                    let message = format!("Created pod: {}", pod.name_any());
                    self.recorder.record(job, Severity::Normal, "SuccessfulCreate", message);
                }
                Err(error) if context::is_namespace_terminating(&error) => return Ok(()),
                Err(error) => {
                    let message = format!("Error creating: {}", context::words(&error));
                    self.recorder.record(job, Severity::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn publish(&self, job: &Job, plan: &decide::Plan) -> kube::Result<()> {
        if job.status.as_ref() == Some(&plan.status) {
            return Ok(());
        }
        let mut updated = job.clone();
        updated.status = Some(plan.status.clone());
        let api = self.context.api::<Job>(&job.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&job.name_any(), &context::write(), &updated).await)?;
        let before = job.status.clone().unwrap_or_default();
        if decide::is_finished(&plan.status) && !decide::is_finished(&before) {
            let last = plan.status.conditions.iter().flatten().next_back();
            match last.filter(|condition| condition.type_ == "Failed").and_then(|condition| condition.reason.as_deref())
            {
                Some("DeadlineExceeded") => {
                    let message = "Job was active longer than specified deadline";
                    self.recorder.record(job, Severity::Warning, "DeadlineExceeded", message);
                }
                Some(_) => {
                    let message = "Job has reached the specified backoff limit";
                    self.recorder.record(job, Severity::Warning, "BackoffLimitExceeded", message);
                }
                None => self.recorder.record(job, Severity::Normal, "Completed", "Job completed"),
            }
        }
        Ok(())
    }

    /// Takes the finalizer off pods that are counted.
    async fn release(&self, key: &Key, pods: &[Arc<Pod>]) -> kube::Result<()> {
        let api = self.context.api::<Pod>(&key.0);
        for pod in pods {
            if !pod.finalizers().iter().any(|finalizer| finalizer == decide::FINALIZER) {
                continue;
            }
            let patch = json!({"metadata": {
                "uid": pod.metadata.uid, "$deleteFromPrimitiveList/finalizers": [decide::FINALIZER]}});
            let result = api.patch(&pod.name_any(), &context::patch(), &Patch::Strategic(patch)).await;
            if let Err(error) = context::gone_is_fine(result)
                && context::code(&error) != 409
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The pods of a Job that is gone count for nothing.
    async fn release_orphans(&self, key: &Key) -> kube::Result<()> {
        let mut all = self.context.caches.pods.list(&key.0);
        let ours = |pod: &Pod| {
            owners::controller_of(pod).is_none_or(|owner| owner.kind == "Job" && owner.name == key.1)
                && pod.labels().get("batch.kubernetes.io/job-name") == Some(&key.1)
        };
        all.retain(|pod| ours(pod));
        self.release(key, &all).await
    }

    /// Deletes a finished Job after its time to live (KEP-592).
    async fn expire(&self, key: &Key, job: &Job, plan: &decide::Plan) -> kube::Result<()> {
        let Some(ttl) = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished) else { return Ok(()) };
        if !decide::is_finished(&plan.status) {
            return Ok(());
        }
        let end = plan.status.conditions.iter().flatten().next_back().and_then(|one| one.last_transition_time.clone());
        let age = end.map_or(0, |end| pods::now().0.duration_since(end.0).as_secs());
        if let Ok(left) = u64::try_from(i64::from(ttl) - age)
            && left > 0
        {
            self.queue.add_after(key.clone(), Duration::from_secs(left));
            return Ok(());
        }
        let parameters = context::delete(job.uid(), PropagationPolicy::Foreground);
        context::gone_is_fine(self.context.api::<Job>(&key.0).delete(&key.1, &parameters).await)
    }
}
