//! PodDisruptionBudgets: how many pods may go at once, as the eviction subresource asks.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::ResourceExt;

use super::{
    cache::Handler,
    context::{self, Context},
    frame,
    numbers::{Round, scaled},
    owners, pods,
    queue::{Key, Queue},
};

/// After this long an eviction whose pod is still there has not happened (DeletionTimeout of the Kubernetes
/// controller).
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// The controller's work and what it waits for.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    queue: Queue<Key>,
}

/// The pods that count, and how many there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Goal {
    expected: i32,
    desired: i32,
}

/// minAvailable as a number counts against the pods there are; anything else against what their owners want.
fn goal(budget: &PodDisruptionBudget, pods: usize, wanted: i32) -> Goal {
    let spec = budget.spec.clone().unwrap_or_default();
    let pods = i32::try_from(pods).unwrap_or(i32::MAX);
    match (spec.min_available, spec.max_unavailable) {
        (_, Some(most)) => {
            let most = scaled(&most, wanted, Round::Up).unwrap_or(0);
            Goal { expected: wanted, desired: (wanted - most).max(0) }
        }
        (Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(least)), None) => {
            Goal { expected: pods, desired: least }
        }
        (Some(least), None) => Goal { expected: wanted, desired: scaled(&least, wanted, Round::Up).unwrap_or(0) },
        (None, None) => Goal { expected: pods, desired: 0 },
    }
}

/// The status that the pods show.
fn status(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], wanted: i32, now: &Time) -> PodDisruptionBudgetStatus {
    let before = budget.status.clone().unwrap_or_default();
    let Goal { expected, desired } = goal(budget, pods.len(), wanted);
    // Evicted and not gone yet: they don't count as healthy, or two evictions at once would both be allowed.
    let mut disrupted = before.disrupted_pods.clone().unwrap_or_default();
    disrupted.retain(|name, since| {
        let pod = pods.iter().find(|pod| pod.name_any() == *name);
        pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none()) && now.0.duration_since(since.0) < PATIENCE
    });
    let healthy = pods
        .iter()
        .filter(|pod| {
            pod.metadata.deletion_timestamp.is_none() && !disrupted.contains_key(&pod.name_any()) && pods::is_ready(pod)
        })
        .count();
    let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let (value, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut conditions = before.conditions.unwrap_or_default();
    let present = conditions.iter().position(|condition| condition.type_ == "DisruptionAllowed");
    let present = present.map(|index| conditions.remove(index));
    let since = present.filter(|condition| condition.status == value).map(|condition| condition.last_transition_time);
    conditions.push(Condition {
        type_: "DisruptionAllowed".into(),
        status: value.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since.unwrap_or_else(|| now.clone()),
    });
    PodDisruptionBudgetStatus {
        conditions: Some(conditions),
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        observed_generation: budget.metadata.generation,
    }
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), queue: Queue::new() }
    }

    pub(super) fn on_budget(&self) -> Handler<PodDisruptionBudget> {
        frame::own(&self.queue)
    }

    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let this = self.clone();
        frame::dependents(move |pod| this.pod_changed(pod))
    }

    fn pod_changed(&self, pod: &Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        for budget in self.context.caches.budgets.list(&namespace) {
            if covers(&budget, pod) {
                self.queue.add((namespace.clone(), budget.name_any()));
            }
        }
    }

    pub(super) async fn run(self) {
        let caches = &self.context.caches;
        caches.budgets.ready().await;
        caches.pods.ready().await;
        caches.replica_sets.ready().await;
        caches.deployments.ready().await;
        frame::work("disruption", self.queue.clone(), self, |this, key| async move { this.sync(&key).await }).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<()> {
        let Some(budget) = self.context.caches.budgets.get(&key.0, &key.1) else { return Ok(()) };
        let mut covered = self.context.caches.pods.list(&key.0);
        covered.retain(|pod| covers(&budget, pod) && !pods::is_terminal(pod));
        let status = status(&budget, &covered, self.wanted(&key.0, &covered), &pods::now());
        if let Some(first) = status.disrupted_pods.iter().flat_map(|pods| pods.values()).min() {
            let left = PATIENCE - Timestamp::now().duration_since(first.0);
            self.queue.add_after(key.clone(), left.try_into().unwrap_or_default());
        }
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut updated = (*budget).clone();
        updated.status = Some(status);
        let api = self.context.api::<PodDisruptionBudget>(&key.0);
        context::gone_is_fine(api.replace_status(&key.1, &context::write(), &updated).await)
    }

    /// How many pods the owners of these want: a Deployment counts for its ReplicaSets, a pod on its own for one.
    fn wanted(&self, namespace: &str, covered: &[Arc<Pod>]) -> i32 {
        let caches = &self.context.caches;
        let mut wanted: HashMap<String, i32> = HashMap::new();
        for pod in covered {
            let Some(owner) = owners::controller_of(&**pod) else {
                wanted.insert(pod.uid().unwrap_or_default(), 1);
                continue;
            };
            let set =
                caches.replica_sets.get(namespace, &owner.name).filter(|set| set.uid().as_ref() == Some(&owner.uid));
            let Some(set) = set else {
                // Not a kind that scales here: its pods are what it wants.
                *wanted.entry(owner.uid.clone()).or_default() += 1;
                continue;
            };
            let above = owners::controller_of(&*set).and_then(|owner| caches.deployments.get(namespace, &owner.name));
            let (uid, size) = match above {
                Some(deployment) => (deployment.uid(), deployment.spec.as_ref().and_then(|spec| spec.replicas)),
                None => (set.uid(), set.spec.as_ref().and_then(|spec| spec.replicas)),
            };
            wanted.insert(uid.unwrap_or_default(), size.unwrap_or(1));
        }
        wanted.values().sum()
    }
}

/// Whether the budget speaks of the pod. In policy/v1 an empty selector selects all, a missing one none.
fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| owners::selects(selector, pod.labels()))
}

#[cfg(test)]
mod tests;
