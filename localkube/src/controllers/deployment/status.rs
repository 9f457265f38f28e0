//! A Deployment's status and conditions, from one snapshot.

use jiff::SignedDuration;
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;

use super::decide::{Sets, max_unavailable, replicas};

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Why a Deployment is or is not progressing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Created,
    Found,
    Updated,
    Complete,
    Late,
    Refused,
    Paused,
    Resumed,
}

impl Progress {
    fn reason(self) -> &'static str {
        match self {
            Self::Created => "NewReplicaSetCreated",
            Self::Found => "FoundNewReplicaSet",
            Self::Updated => "ReplicaSetUpdated",
            Self::Complete => "NewReplicaSetAvailable",
            Self::Late => "ProgressDeadlineExceeded",
            Self::Refused => "ReplicaSetCreateError",
            Self::Paused => "DeploymentPaused",
            Self::Resumed => "DeploymentResumed",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Late | Self::Refused => "False",
            Self::Paused | Self::Resumed => "Unknown",
            _ => "True",
        }
    }
}

/// How long a rollout may stand still, in seconds; nothing if it may for ever.
fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}

/// Sets a condition. One with the same status and reason stays as it is, words and times included; a change of the
/// reason alone keeps the time of the transition.
fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(present) = find(status, &condition.type_) {
        if present.status == condition.status && present.reason == condition.reason {
            return;
        }
        if present.status == condition.status {
            condition.last_transition_time.clone_from(&present.last_transition_time);
        }
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

fn condition(kind: &str, status: &str, reason: &str, message: String, now: &Time) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
    }
}

/// Records how a rollout goes, for Deployments with a deadline.
pub(super) fn note(deployment: &mut Deployment, progress: Progress, message: String, now: &Time) {
    if deadline(deployment).is_some() {
        let status = deployment.status.get_or_insert_default();
        set(status, condition(PROGRESSING, progress.status(), progress.reason(), message, now));
    }
}

/// Whether the Deployment has no word on its progress yet.
pub(super) fn has_no_progress(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_none_or(|status| find(status, PROGRESSING).is_none())
}

/// Records that the Deployment was paused or resumed. A rollout that exceeded its deadline keeps saying so.
pub(super) fn note_pause(deployment: &mut Deployment, now: &Time) {
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    let present = deployment.status.as_ref().and_then(|status| find(status, PROGRESSING)?.reason.as_deref());
    let was_paused = present == Some(Progress::Paused.reason());
    if present == Some(Progress::Late.reason()) || paused == was_paused {
        return;
    }
    if paused {
        note(deployment, Progress::Paused, "Deployment is paused".into(), now);
    } else {
        note(deployment, Progress::Resumed, "Deployment is resumed".into(), now);
    }
}

fn some(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number != 0)
}

/// The numbers that the ReplicaSets show, and whether they are enough.
pub(super) fn counted(deployment: &Deployment, sets: &Sets, now: &Time) -> DeploymentStatus {
    let sum = |field: &dyn Fn(&ReplicaSet) -> Option<i32>| sets.all().filter_map(|set| field(set)).sum::<i32>();
    let available = sum(&|set| set.status.as_ref()?.available_replicas);
    let before = deployment.status.clone().unwrap_or_default();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(&|set| Some(set.status.as_ref()?.replicas))),
        updated_replicas: sets.new.as_ref().and_then(|set| some(set.status.as_ref()?.replicas)),
        ready_replicas: some(sum(&|set| set.status.as_ref()?.ready_replicas)),
        available_replicas: some(available),
        unavailable_replicas: some((sets.wanted() - available).max(0)),
        terminating_replicas: Some(sum(&|set| set.status.as_ref()?.terminating_replicas)),
        collision_count: before.collision_count,
        conditions: before.conditions,
    };
    let (value, reason, message) = if available >= replicas(deployment) - max_unavailable(deployment) {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut status, condition(AVAILABLE, value, reason, message.into(), now));
    status
}

/// Whether every pod is of the present template and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = some(replicas(deployment));
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let old = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0);
    after.updated_replicas > before.updated_replicas
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: &Time) -> bool {
    let (Some(deadline), Some(present)) = (deadline(deployment), find(status, PROGRESSING)) else { return false };
    match present.reason.as_deref() {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => present
            .last_update_time
            .as_ref()
            .is_some_and(|since| now.0.duration_since(since.0) > SignedDuration::from_secs(i64::from(deadline))),
    }
}

/// The status in the course of a rollout. `deployment.status` holds the conditions noted so far.
pub(super) fn rollout(deployment: &Deployment, sets: &Sets, now: &Time) -> DeploymentStatus {
    let before = deployment.status.clone().unwrap_or_default();
    let mut status = counted(deployment, sets, now);
    let present = find(&before, PROGRESSING).cloned();
    let reason = present.as_ref().and_then(|condition| condition.reason.as_deref());
    let settled = status.replicas == status.updated_replicas && reason == Some("NewReplicaSetAvailable");
    if deadline(deployment).is_none() {
        remove(&mut status, PROGRESSING);
    } else if !settled {
        let subject = match &sets.new {
            Some(set) => format!("ReplicaSet \"{}\"", set.name_any()),
            None => format!("Deployment \"{}\"", deployment.name_any()),
        };
        let progressing = |progress: Progress, words: &str| {
            condition(PROGRESSING, progress.status(), progress.reason(), format!("{subject} {words}"), now)
        };
        if is_complete(deployment, &status) {
            set(&mut status, progressing(Progress::Complete, "has successfully progressed."));
        } else if has_progressed(&before, &status) {
            let mut condition = progressing(Progress::Updated, "is progressing.");
            if let Some(present) = present.filter(|present| present.status == "True") {
                condition.last_transition_time = present.last_transition_time;
            }
            // Each step counts anew against the deadline, even if the words are the same.
            remove(&mut status, PROGRESSING);
            set(&mut status, condition);
        } else if has_timed_out(deployment, &status, now) {
            set(&mut status, progressing(Progress::Late, "has timed out progressing."));
        }
    }
    match failure(sets) {
        Some(failure) => set(&mut status, failure),
        None => remove(&mut status, REPLICA_FAILURE),
    }
    status
}

/// Why a ReplicaSet could not make its pods: the new one's words before the others'.
fn failure(sets: &Sets) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| {
        let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == REPLICA_FAILURE).cloned()
    };
    let found = sets.new.as_ref().and_then(|set| of(set)).or_else(|| sets.all().find_map(|set| of(set)))?;
    Some(DeploymentCondition {
        type_: found.type_,
        status: found.status,
        reason: found.reason,
        message: found.message,
        last_update_time: found.last_transition_time.clone(),
        last_transition_time: found.last_transition_time,
    })
}

/// In how many seconds the deadline is to be looked at again.
pub(super) fn seconds_to_deadline(deployment: &Deployment, status: &DeploymentStatus, now: &Time) -> Option<u64> {
    let (deadline, present) = (deadline(deployment)?, find(status, PROGRESSING)?);
    if is_complete(deployment, status)
        || matches!(present.reason.as_deref(), Some("ProgressDeadlineExceeded" | "DeploymentPaused"))
    {
        return None;
    }
    let since = present.last_update_time.as_ref()?;
    let left = i64::from(deadline) - now.0.duration_since(since.0).as_secs();
    Some(u64::try_from(left).unwrap_or(0) + 1)
}
