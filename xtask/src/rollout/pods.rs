//! The pods of a workload, told apart into new and old, and which of the new ones will never be ready.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    cause::Cause,
    fate::{self, Fate},
    readiness::{condition, number},
    snapshot::Snapshot,
};

/// How long a pod may find no node: a cluster that scales itself adds one within that.
const UNSCHEDULABLE: i64 = 45;

/// How long pods may be refused: a quota frees up when old pods are gone.
pub(super) const REFUSED: i64 = 10;

/// How long configuration may be missing, or a container not be made: what makes a Secret in the cluster may be about
/// to, and runtimes recover.
const MISSING: i64 = 10;

/// The pods of one workload.
#[derive(Debug)]
pub(super) struct Pods<'a> {
    /// Those of the present specification.
    pub(super) new: Vec<&'a Value>,
    /// Those of the one before that are ready.
    pub(super) old_ready: usize,
    /// Those on their way out.
    pub(super) leaving: Vec<&'a Value>,
    /// What makes the new ones: a ReplicaSet, or the workload itself.
    pub(super) maker: Option<&'a Value>,
}

/// Why a workload will not become ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doom {
    pub(super) cause: Cause,
    /// `container `app` in pod app-7d9f6c-x2x exits with code 78, 3 times (CrashLoopBackOff)`
    pub(super) sentence: String,
    pub(super) pod: Option<String>,
    pub(super) container: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) exit: Option<u64>,
}

impl Doom {
    pub(super) fn new(cause: Cause, sentence: impl Into<String>) -> Self {
        Self { cause, sentence: sentence.into(), pod: None, container: None, reason: None, exit: None }
    }

    pub(super) fn of_pod(cause: Cause, pod: &Value, reason: &str, sentence: impl Into<String>) -> Self {
        let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        Self { pod: Some(name(pod).to_owned()), reason, ..Self::new(cause, sentence) }
    }

    fn of_container(pod: &Value, container: &str, init: bool, fate: Fate) -> Self {
        let kind = if init { "init container" } else { "container" };
        let sentence = format!("{kind} `{container}` in pod {} {}", name(pod), fate.what);
        // What is wrong with the program of an init container is its own business; the rest is the same for both.
        let cause = if init && fate.cause == Cause::CrashLoop { Cause::InitFailed } else { fate.cause };
        let doom = Self::of_pod(cause, pod, "", sentence);
        Self { container: Some(container.to_owned()), reason: fate.reason, exit: fate.exit, ..doom }
    }
}

/// The pods of a workload.
pub(super) fn of<'a>(snapshot: &'a Snapshot, workload: &'a Value) -> Pods<'a> {
    let namespace = workload["metadata"]["namespace"].as_str();
    if workload["kind"] == "Pod" {
        return Pods { new: vec![workload], old_ready: 0, leaving: Vec::new(), maker: None };
    }
    let sets = || snapshot.of_kind("ReplicaSet", namespace).filter(|set| is_owned(set, workload));
    let is_deployment = workload["kind"] == "Deployment";
    let owns = |pod: &Value| match is_deployment {
        true => sets().any(|set| is_owned(pod, set)),
        false => is_owned(pod, workload),
    };
    let owned = snapshot.of_kind("Pod", namespace).filter(|pod| owns(pod));
    let (leaving, staying): (Vec<_>, Vec<_>) =
        owned.partition(|pod| pod["metadata"].get("deletionTimestamp").is_some());
    let maker = match is_deployment {
        true => sets().find(|set| is_present(set, workload)),
        false => Some(workload),
    };
    let revision = &workload["status"]["updateRevision"];
    let is_new = |pod: &&Value| match is_deployment {
        true => maker.is_some_and(|set| is_owned(pod, set)),
        false => revision.is_null() || pod["metadata"]["labels"]["controller-revision-hash"] == *revision,
    };
    let (new, old): (Vec<_>, Vec<_>) = staying.into_iter().partition(is_new);
    let old_ready = old.iter().filter(|pod| is_ready(pod)).count();
    Pods { new, old_ready, leaving, maker }
}

/// Whether a ReplicaSet makes the pods of the Deployment's present specification: both carry the same revision, once
/// the controller has looked at the present generation.
fn is_present(set: &Value, deployment: &Value) -> bool {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    let revision = &deployment["metadata"]["annotations"][REVISION];
    let observed = number(&deployment["status"]["observedGeneration"]) >= number(&deployment["metadata"]["generation"]);
    observed && !revision.is_null() && set["metadata"]["annotations"][REVISION] == *revision
}

fn is_owned(object: &Value, owner: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|reference| reference["uid"] == owner["metadata"]["uid"])
}

pub(super) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition["status"] == "True")
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether the workload is lost, before its own deadline says so.
///
/// One lost pod is enough as long as no new pod has become ready; after that it takes two, as one may sit on a bad node.
pub(super) fn doom(workload: &Value, pods: &Pods<'_>, now: Timestamp) -> Option<Doom> {
    let lost: Vec<Doom> = pods.new.iter().filter_map(|pod| lost(workload, pod, now)).collect();
    let budget = usize::from(pods.new.iter().any(|pod| is_ready(pod)));
    if lost.len() > budget {
        return lost.into_iter().next();
    }
    refused(workload, now).or_else(|| pods.maker.and_then(|maker| refused(maker, now)))
}

/// The pods cannot even be made.
fn refused(object: &Value, now: Timestamp) -> Option<Doom> {
    let failure = condition(object, "ReplicaFailure").filter(|condition| condition["status"] == "True")?;
    if age(&failure["lastTransitionTime"], now) < REFUSED {
        return None;
    }
    let message = failure["message"].as_str().unwrap_or_default();
    let doom = Doom::new(Cause::of_refusal(message), format!("its pods are refused: {message}"));
    Some(Doom { reason: failure["reason"].as_str().map(str::to_owned), ..doom })
}

/// Seconds since a time of the API; one that is not there is now.
pub(super) fn age(since: &Value, now: Timestamp) -> i64 {
    let since: Option<Timestamp> = since.as_str().and_then(|time| time.parse().ok());
    since.map_or(0, |since| now.as_second() - since.as_second())
}

fn lost(workload: &Value, pod: &Value, now: Timestamp) -> Option<Doom> {
    if let Some(unschedulable) = unscheduled(pod)
        .filter(|condition| condition["reason"] == "Unschedulable")
        .filter(|condition| age(&condition["lastTransitionTime"], now) >= UNSCHEDULABLE)
    {
        return Some(homeless(pod, unschedulable));
    }
    let young = pod["metadata"].get("creationTimestamp").is_some_and(|since| age(since, now) < MISSING);
    let tries = tries(workload);
    containers(pod).find_map(|(status, init)| {
        let fate = fate::of(status, tries)?;
        if young && matches!(fate.cause, Cause::MissingConfiguration | Cause::Start) {
            return None;
        }
        Some(Doom::of_container(pod, status["name"].as_str().unwrap_or_default(), init, fate))
    })
}

/// A Job says itself how often its containers may fail. With restarts in the same pod, its end deletes that pod and
/// with it the log: it must be looked at before. Other pods of a Job are replaced, and stay.
fn tries(workload: &Value) -> Option<u64> {
    if workload["kind"] != "Job" {
        return None;
    }
    let spec = &workload["spec"];
    if spec["template"]["spec"]["restartPolicy"] == "OnFailure" {
        Some(spec["backoffLimit"].as_u64().unwrap_or(6).max(1))
    } else {
        Some(u64::MAX)
    }
}

fn unscheduled(pod: &Value) -> Option<&Value> {
    condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False")
}

fn homeless(pod: &Value, condition: &Value) -> Doom {
    let message = condition["message"].as_str().unwrap_or_default();
    let reason = condition["reason"].as_str().unwrap_or_default();
    let sentence = format!("pod {} fits on no node: {message}", name(pod));
    Doom::of_pod(Cause::of_scheduling(message), pod, reason, sentence)
}

/// The statuses of a pod's containers, those of the init containers first; whether it is one of these.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = (&Value, bool)> {
    [("initContainerStatuses", true), ("containerStatuses", false)].into_iter().flat_map(|(field, init)| {
        pod["status"][field].as_array().into_iter().flatten().map(move |status| (status, init))
    })
}

/// What keeps a workload from being ready when its time is over, however small: the youngest pod that is not ready.
pub(super) fn suspect(pods: &Pods<'_>) -> Option<Doom> {
    let unready = pods.new.iter().filter(|pod| !is_ready(pod) && pod["status"]["phase"] != "Succeeded");
    let pod = unready.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str())?;
    let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
    let (reason, message) = (&pod["status"]["reason"], pod["status"]["message"].as_str().unwrap_or_default());
    if let Some(reason) = reason.as_str().filter(|_| phase == "Failed") {
        let cause = match reason {
            "Evicted" => Cause::Evicted,
            "NodeLost" | "NodeShutdown" | "Terminated" => Cause::NodeLost,
            "DeadlineExceeded" => Cause::JobDeadline,
            _ => Cause::Other,
        };
        let verb = if cause == Cause::Evicted { "was evicted" } else { "failed" };
        return Some(Doom::of_pod(cause, pod, reason, format!("pod {} {verb} ({reason}): {message}", name(pod))));
    }
    if let Some(condition) = unscheduled(pod) {
        return Some(homeless(pod, condition));
    }
    // An init container that is done is not ready either.
    let done = |status: &Value| status["state"]["terminated"]["exitCode"] == 0;
    match containers(pod).find(|(status, init)| status["ready"] != true && !(*init && done(status))) {
        Some((status, init)) => {
            let container = status["name"].as_str().unwrap_or_default();
            Some(Doom::of_container(pod, container, init, fate::at_the_end(status)))
        }
        None => Some(Doom::of_pod(Cause::Other, pod, "", format!("pod {} is {phase}", name(pod)))),
    }
}
