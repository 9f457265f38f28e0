//! What a Job is to do, from one snapshot. Pods are counted once each: a finalizer keeps a pod until its end is in the
//! status (KEP-2307).

use std::{collections::HashSet, sync::Arc};

use jiff::SignedDuration;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobStatus, UncountedTerminatedPods},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::ResourceExt;

use crate::controllers::{owners::controller_reference, pods};

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The wait after the first failed pod; it doubles with each.
const FIRST_BACKOFF: i64 = 10;
const LONGEST_BACKOFF: i64 = 600;

/// Everything that one look decides.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The status to write before anything else.
    pub(super) status: JobStatus,
    /// Ended pods whose end is in the status: their finalizer goes.
    pub(super) release: Vec<Arc<Pod>>,
    /// How many pods to create.
    pub(super) create: usize,
    /// Running pods that are not wanted.
    pub(super) delete: Vec<Arc<Pod>>,
    /// How many seconds until time alone changes something.
    pub(super) again: Option<u64>,
}

/// Whether the Job has come to its end.
pub(super) fn is_finished(status: &JobStatus) -> bool {
    has(status, "Complete") || has(status, "Failed")
}

fn has(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|one| one.type_ == kind && one.status == "True")
}

fn is_tracked(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// The end of a pod. One that is deleted before its end has failed.
fn outcome(pod: &Pod) -> Option<bool> {
    match pods::phase(pod) {
        "Succeeded" => Some(true),
        "Failed" => Some(false),
        _ => None,
    }
}

fn some(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number != 0)
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Takes the ended pods into the status: first by name, and by number once they can't be counted again.
fn tally(status: &mut JobStatus, pods: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let tracked: HashSet<String> = pods.iter().filter(|pod| is_tracked(pod)).filter_map(|pod| pod.uid()).collect();
    let named = status.uncounted_terminated_pods.take().unwrap_or_default();
    let settle = |names: Option<Vec<String>>, total: &mut Option<i32>| {
        let (kept, counted): (Vec<_>, Vec<_>) =
            names.unwrap_or_default().into_iter().partition(|uid| tracked.contains(uid));
        *total = some(total.unwrap_or(0) + count(counted.len()));
        kept
    };
    let mut succeeded = settle(named.succeeded, &mut status.succeeded);
    let mut failed = settle(named.failed, &mut status.failed);
    // The status already names these: their finalizer has done its work.
    let known: HashSet<String> = succeeded.iter().chain(&failed).cloned().collect();
    let release = pods.iter().filter(|pod| pod.uid().is_some_and(|uid| known.contains(&uid))).cloned().collect();
    for pod in pods.iter().filter(|pod| is_tracked(pod)) {
        let uid = pod.uid().unwrap_or_default();
        match outcome(pod) {
            _ if known.contains(&uid) => {}
            Some(true) => succeeded.push(uid),
            Some(false) => failed.push(uid),
            None => {}
        }
    }
    let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
    status.uncounted_terminated_pods =
        Some(UncountedTerminatedPods { succeeded: list(succeeded), failed: list(failed) });
    release
}

fn sum(counted: Option<i32>, named: Option<&Vec<String>>) -> i32 {
    counted.unwrap_or(0) + named.map_or(0, |list| count(list.len()))
}

/// Decides about a Job and all pods that it controls.
pub(super) fn plan(job: &Job, all: &[Arc<Pod>], now: &Time) -> Plan {
    let spec = job.spec.clone().unwrap_or_default();
    let mut plan = Plan { status: job.status.clone().unwrap_or_default(), ..Plan::default() };
    let finished = is_finished(&plan.status);
    plan.release = tally(&mut plan.status, all);
    let active: Vec<Arc<Pod>> = all.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    if finished {
        plan.delete = active;
        plan.status.conditions = plan.status.conditions.take().filter(|conditions| !conditions.is_empty());
        return plan;
    }
    let suspended = spec.suspend == Some(true);
    tell_suspension(&mut plan.status, suspended, now);
    if plan.status.start_time.is_none() && !suspended {
        plan.status.start_time = Some(now.clone());
    }
    let named = plan.status.uncounted_terminated_pods.clone().unwrap_or_default();
    let succeeded = sum(plan.status.succeeded, named.succeeded.as_ref());
    let failed = sum(plan.status.failed, named.failed.as_ref());
    let elapsed = plan.status.start_time.as_ref().map_or(0, |start| now.0.duration_since(start.0).as_secs());
    let deadline = spec.active_deadline_seconds.filter(|_| !suspended);
    let parallelism = spec.parallelism.unwrap_or(1);
    let done = match spec.completions {
        Some(completions) => succeeded >= completions,
        // A work queue: one success says that the queue is empty, and the others may end.
        None => succeeded > 0 && active.is_empty(),
    };
    let verdict = if failed > spec.backoff_limit.unwrap_or(6) {
        Some(("FailureTarget", "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if deadline.is_some_and(|deadline| elapsed >= deadline) {
        Some(("FailureTarget", "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    } else if done {
        Some(("SuccessCriteriaMet", "Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
    } else {
        None
    };
    if let Some((target, end, reason, message)) = verdict {
        plan.delete.clone_from(&active);
        conclude(&mut plan.status, target, reason, message, now);
        // The last word is said when nothing runs and everything is counted.
        let counted = named.succeeded.is_none() && named.failed.is_none();
        if counted && all.iter().all(|pod| pods::is_terminal(pod)) {
            conclude(&mut plan.status, end, reason, message, now);
            if end == "Complete" {
                plan.status.completion_time = Some(now.clone());
            }
        }
    } else if suspended {
        plan.delete.clone_from(&active);
    } else {
        let wanted = match spec.completions {
            Some(completions) => parallelism.min(completions - succeeded),
            None if succeeded > 0 => count(active.len()),
            None => parallelism,
        };
        let missing = usize::try_from(wanted - count(active.len())).unwrap_or(0);
        match wait(all, failed, now) {
            Some(seconds) if missing > 0 => plan.again = Some(seconds),
            _ => plan.create = missing,
        }
        if let Some(deadline) = deadline {
            let left = u64::try_from(deadline - elapsed).unwrap_or(0).max(1);
            plan.again = Some(plan.again.map_or(left, |seconds| seconds.min(left)));
        }
    }
    let gone = plan.delete.len();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    plan.status.active = some(count(active.len() - gone + plan.create));
    plan.status.ready = Some(if gone > 0 { 0 } else { count(ready) });
    plan.status.terminating = Some(count(all.iter().filter(|pod| pods::is_terminating(pod)).count()));
    plan.status.conditions = plan.status.conditions.take().filter(|conditions| !conditions.is_empty());
    plan
}

/// A Job that was suspended says so from then on; its time counts anew when it is resumed.
fn tell_suspension(status: &mut JobStatus, suspended: bool, now: &Time) {
    let told = status.conditions.iter_mut().flatten().find(|one| one.type_ == "Suspended");
    match told {
        None if suspended => conclude(status, "Suspended", "JobSuspended", "Job suspended", now),
        Some(condition) if (condition.status == "True") != suspended => {
            let (value, reason, message) = if suspended {
                ("True", "JobSuspended", "Job suspended")
            } else {
                ("False", "JobResumed", "Job resumed")
            };
            condition.status = value.into();
            condition.reason = Some(reason.into());
            condition.message = Some(message.into());
            condition.last_transition_time = Some(now.clone());
            if !suspended {
                status.start_time = Some(now.clone());
            }
        }
        _ => {}
    }
}

fn conclude(status: &mut JobStatus, kind: &str, reason: &str, message: &str, now: &Time) {
    if !has(status, kind) {
        status.conditions.get_or_insert_default().push(JobCondition {
            type_: kind.into(),
            status: "True".into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_probe_time: Some(now.clone()),
            last_transition_time: Some(now.clone()),
        });
    }
}

/// How many seconds the next pod has to wait after the last failure.
fn wait(all: &[Arc<Pod>], failed: i32, now: &Time) -> Option<u64> {
    let ended = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let ends =
            statuses.filter_map(|status| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0));
        ends.max().or(pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
    };
    let last = all.iter().filter(|pod| outcome(pod) == Some(false)).filter_map(|pod| ended(pod)).max()?;
    let doublings = u32::try_from(failed - 1).unwrap_or(0).min(10);
    let backoff = (FIRST_BACKOFF << doublings).min(LONGEST_BACKOFF);
    let left = last + SignedDuration::from_secs(backoff);
    let left = left.duration_since(now.0).as_secs();
    u64::try_from(left).ok().filter(|seconds| *seconds > 0)
}

/// A pod of the Job.
pub(super) fn pod_of(job: &Job) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    let mut finalizers = metadata.finalizers.unwrap_or_default();
    finalizers.push(FINALIZER.into());
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", job.name_any())),
            namespace: job.namespace(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: Some(finalizers),
            owner_references: Some(vec![controller_reference(job)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}
