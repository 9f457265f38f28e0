//! The HorizontalPodAutoscaler: keeps a workload between its bounds. There is no metrics server on this machine, so
//! that nothing is scaled by load, and the conditions say so.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        autoscaling::v2::{
            HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricSpec,
            MetricStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, Resource, ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::{
    cache::{Change, Handler},
    catalog::Catalog,
    context::{self, Context},
    events::{Recorder, Severity},
    pods,
    queue::{Key, Queue},
};

/// A new autoscaler is seen without a status at first, as it is on Kubernetes for 15 seconds.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    catalog: Arc<Catalog>,
    recorder: Recorder,
    queue: Queue<Key>,
    // Autoscalers whose lack of metrics has been told, by UID: once a generation is enough.
    told: Arc<Mutex<HashSet<(String, i64)>>>,
}

/// The scale of a workload, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scale {
    wanted: i32,
    present: i32,
}

/// What to do about a scale.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    /// The workload was switched off by hand: it stays so.
    Disabled,
    /// It is outside of its bounds.
    Rescale { to: i32, reason: &'static str },
    /// It is within them, and what it holds stays, as nothing is known about its load.
    Hold,
}

fn decide(scale: Scale, least: i32, most: i32) -> Decision {
    if scale.wanted == 0 && least != 0 {
        Decision::Disabled
    } else if scale.wanted > most {
        Decision::Rescale { to: most, reason: "Current number of replicas above Spec.MaxReplicas" }
    } else if scale.wanted < least {
        Decision::Rescale { to: least, reason: "Current number of replicas below Spec.MinReplicas" }
    } else {
        Decision::Hold
    }
}

const NO_METRICS_API: &str = "unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";

/// Why the first metric is not known: reason and message of the condition, message of the event about the whole.
fn missing(metric: Option<&MetricSpec>) -> (&'static str, String, String) {
    let kind = metric.map(|metric| metric.type_.as_str()).unwrap_or("Resource");
    let resource = metric.and_then(|metric| metric.resource.as_ref());
    let name = resource.map(|resource| resource.name.as_str()).unwrap_or("cpu");
    let (reason, cause) = match kind {
        "Resource" => {
            let what = match resource.map(|resource| resource.target.type_.as_str()) {
                Some("AverageValue") => String::new(),
                _ => format!("failed to get {name} utilization: "),
            };
            let cause = format!("{what}unable to get metrics for resource {name}: {NO_METRICS_API}");
            ("FailedGetResourceMetric", cause)
        }
        "ContainerResource" => ("FailedGetContainerResourceMetric", NO_METRICS_API.to_owned()),
        "Pods" => ("FailedGetPodsMetric", "no custom metrics API (custom.metrics.k8s.io) registered".to_owned()),
        "Object" => ("FailedGetObjectMetric", "no custom metrics API (custom.metrics.k8s.io) registered".to_owned()),
        _ => ("FailedGetExternalMetric", "no external metrics API (external.metrics.k8s.io) registered".to_owned()),
    };
    let condition = format!("the HPA was unable to compute the replica count: {cause}");
    (reason, condition, cause)
}

fn condition(
    conditions: &mut Vec<HorizontalPodAutoscalerCondition>,
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: &Time,
) {
    let new = HorizontalPodAutoscalerCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: Some(now.clone()),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(present) => {
            let since = present.last_transition_time.take().filter(|_| present.status == new.status);
            *present =
                HorizontalPodAutoscalerCondition { last_transition_time: since.or(new.last_transition_time), ..new };
        }
        None => conditions.push(new),
    }
}

/// The status after a decision.
fn status(
    autoscaler: &HorizontalPodAutoscaler,
    scale: Scale,
    decision: &Decision,
    now: &Time,
) -> HorizontalPodAutoscalerStatus {
    let mut status = autoscaler.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.take().unwrap_or_default();
    let metric = autoscaler.spec.metrics.as_ref().and_then(|metrics| metrics.first());
    let able = "the HPA controller was able to get the target's current scale";
    condition(&mut conditions, "AbleToScale", "True", "SucceededGetScale", able.into(), now);
    status.current_replicas = Some(scale.present);
    match decision {
        Decision::Disabled => {
            let message = "scaling is disabled since the replica count of the target is zero";
            condition(&mut conditions, "ScalingActive", "False", "ScalingDisabled", message.into(), now);
            status.desired_replicas = 0;
        }
        Decision::Rescale { to, .. } => {
            let message = format!("the HPA controller was able to update the target scale to {to}");
            condition(&mut conditions, "AbleToScale", "True", "SucceededRescale", message, now);
            status.desired_replicas = *to;
            status.last_scale_time = Some(now.clone());
        }
        Decision::Hold => {
            let (reason, message, _) = missing(metric);
            condition(&mut conditions, "ScalingActive", "False", reason, message, now);
            // What was wanted last stays in the status, and every metric is listed as unknown.
            let unknown = autoscaler.spec.metrics.as_ref().map_or(0, Vec::len);
            status.current_metrics = Some(vec![MetricStatus::default(); unknown]);
        }
    }
    status.conditions = Some(conditions);
    status
}

impl Controller {
    pub(super) fn new(context: &Context, catalog: Arc<Catalog>) -> Self {
        let recorder = context.recorder.named("horizontal-pod-autoscaler");
        Self { context: context.clone(), catalog, recorder, queue: Queue::new(), told: Arc::default() }
    }

    pub(super) fn on_autoscaler(&self) -> Handler<HorizontalPodAutoscaler> {
        let queue = self.queue.clone();
        Box::new(move |change| {
            let Change::Applied { old, new } = change else { return };
            let key = (new.namespace().unwrap_or_default(), new.name_any());
            match old {
                Some(_) => queue.add(key),
                None => queue.add_after(key, FIRST_LOOK),
            }
        })
    }

    pub(super) fn on_deployment(&self) -> Handler<Deployment> {
        self.on_target()
    }

    pub(super) fn on_replica_set(&self) -> Handler<ReplicaSet> {
        self.on_target()
    }

    /// A change of the target is what a periodic look would find.
    fn on_target<K: Resource<DynamicType = ()> + Send + Sync + 'static>(&self) -> Handler<K> {
        let this = self.clone();
        Box::new(move |change| {
            let Change::Applied { new, .. } = change else { return };
            let (kind, name) = (K::kind(&()), new.name_any());
            for autoscaler in this.context.caches.autoscalers.list(&new.namespace().unwrap_or_default()) {
                let target = &autoscaler.spec.scale_target_ref;
                if target.kind == kind && target.name == name {
                    this.queue.add((autoscaler.namespace().unwrap_or_default(), autoscaler.name_any()));
                }
            }
        })
    }

    pub(super) async fn run(self) {
        self.context.caches.autoscalers.ready().await;
        let _ = self.catalog.subscribe().wait_for(|kinds| !kinds.is_empty()).await;
        loop {
            let key = self.queue.next().await;
            let result = self.sync(&key).await;
            self.queue.done("autoscaler", key, result);
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(autoscaler) = self.context.caches.autoscalers.get(&key.0, &key.1) else { return Ok(()) };
        let spec = &autoscaler.spec;
        let now = pods::now();
        let target = &spec.scale_target_ref;
        let (scale, api) = match self.scale_of(&autoscaler).await {
            Ok(found) => found,
            Err(error) => {
                let message = context::words(&error);
                self.recorder.record(&*autoscaler, Severity::Warning, "FailedGetScale", message.clone());
                let mut status = autoscaler.status.clone().unwrap_or_default();
                let conditions = status.conditions.get_or_insert_default();
                let text = format!("the HPA controller was unable to get the target's current scale: {message}");
                condition(conditions, "AbleToScale", "False", "FailedGetScale", text, &now);
                self.publish(&autoscaler, status).await?;
                // A missing target is told of by its own watch; anything else is tried again.
                return if context::code(&error) == 404 { Ok(()) } else { Err(error) };
            }
        };
        let decision = decide(scale, spec.min_replicas.unwrap_or(1), spec.max_replicas);
        if let Decision::Rescale { to, reason } = &decision {
            let patch = json!({"spec": {"replicas": to}});
            api.patch_scale(&target.name, &context::patch(), &kube::api::Patch::Merge(patch)).await?;
            let message = format!("New size: {to}; reason: {reason}");
            self.recorder.record(&*autoscaler, Severity::Normal, "SuccessfulRescale", message);
        }
        if decision == Decision::Hold {
            self.tell_missing(&autoscaler);
        }
        self.publish(&autoscaler, status(&autoscaler, scale, &decision, &now)).await
    }

    async fn scale_of(&self, autoscaler: &HorizontalPodAutoscaler) -> kube::Result<(Scale, Api<DynamicObject>)> {
        let target = &autoscaler.spec.scale_target_ref;
        let group =
            target.api_version.as_deref().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
        let kinds = self.catalog.kinds();
        let kind = kinds.iter().find(|kind| kind.resource.group == group && kind.resource.kind == target.kind);
        let Some(kind) = kind else {
            let message = format!("no matches for kind \"{}\" in group \"{group}\"", target.kind);
            let status = kube::core::Status::failure(&message, "NotFound").with_code(404);
            return Err(kube::Error::Api(Box::new(status)));
        };
        let api = kind.api(&self.context.client, &autoscaler.namespace().unwrap_or_default());
        // Scale as data: kinds of CRDs may leave fields out that a typed one insists on.
        let scale: Value = serde_json::to_value(api.get_scale(&target.name).await?).map_err(kube::Error::SerdeError)?;
        let number =
            |part: &str| scale[part]["replicas"].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
        Ok((Scale { wanted: number("spec"), present: number("status") }, api))
    }

    fn tell_missing(&self, autoscaler: &HorizontalPodAutoscaler) {
        let id = (autoscaler.uid().unwrap_or_default(), autoscaler.metadata.generation.unwrap_or(0));
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            let metrics = autoscaler.spec.metrics.as_deref().unwrap_or_default();
            let (reason, _, cause) = missing(metrics.first());
            self.recorder.record(autoscaler, Severity::Warning, reason, cause.clone());
            let count = metrics.len();
            let message = format!(
                "invalid metrics ({count} invalid out of {count}), first error is: failed to get metric value: {cause}"
            );
            self.recorder.record(autoscaler, Severity::Warning, "FailedComputeMetricsReplicas", message);
        }
    }

    async fn publish(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        status: HorizontalPodAutoscalerStatus,
    ) -> kube::Result<()> {
        if autoscaler.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut updated = autoscaler.clone();
        updated.status = Some(status);
        let api = self.context.api::<HorizontalPodAutoscaler>(&autoscaler.namespace().unwrap_or_default());
        context::gone_is_fine(api.replace_status(&autoscaler.name_any(), &context::write(), &updated).await)
    }
}

#[cfg(test)]
mod tests;
