//! The pods of a workload, told apart into new and old, and which of the new ones will never be ready.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    readiness::{condition, number},
    snapshot::Snapshot,
};

/// How many times a container may end before its pod counts as lost.
const CRASHES: u64 = 3;

/// How long a pod may find no node: a cluster that scales itself adds one within that.
const UNSCHEDULABLE: i64 = 45;

/// How long pods may be refused: a quota frees up when old pods are gone.
const REFUSED: i64 = 10;

/// The pods of one workload.
#[derive(Debug)]
pub(super) struct Pods<'a> {
    /// Those of the present specification.
    pub(super) new: Vec<&'a Value>,
    /// Those of the one before that are ready.
    pub(super) old_ready: usize,
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
}

/// Kinds of doom, each with its own advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Image,
    Configuration,
    Crash,
    OutOfMemory,
    Unschedulable,
    Refused,
    Unready,
    Other,
}

/// The pods of a workload.
pub(super) fn of<'a>(snapshot: &'a Snapshot, workload: &'a Value) -> Pods<'a> {
    let namespace = workload["metadata"]["namespace"].as_str();
    let pods = || snapshot.of_kind("Pod", namespace).filter(|pod| pod["metadata"].get("deletionTimestamp").is_none());
    if workload["kind"] == "Pod" {
        return Pods { new: vec![workload], old_ready: 0, maker: None };
    }
    if workload["kind"] != "Deployment" {
        let revision = &workload["status"]["updateRevision"];
        let is_new =
            |pod: &&Value| revision.is_null() || pod["metadata"]["labels"]["controller-revision-hash"] == *revision;
        let (new, old): (Vec<_>, Vec<_>) = pods().filter(|pod| is_owned(pod, workload)).partition(is_new);
        let old_ready = old.iter().filter(|pod| is_ready(pod)).count();
        return Pods { new, old_ready, maker: Some(workload) };
    }
    let sets = snapshot.of_kind("ReplicaSet", namespace).filter(|set| is_owned(set, workload));
    let (new, old): (Vec<_>, Vec<_>) = sets.partition(|set| is_present(set, workload));
    let of_set = |set: &Value| pods().filter(|pod| is_owned(pod, set)).collect::<Vec<_>>();
    let old_ready = old.iter().flat_map(|set| of_set(set)).filter(|pod| is_ready(pod)).count();
    let maker = new.first().copied();
    Pods { new: maker.map(of_set).unwrap_or_default(), old_ready, maker }
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

/// Whether the workload is lost, before its own deadline says so.
///
/// One lost pod is enough as long as no new pod has become ready; after that it takes two, as one may sit on a bad node.
pub(super) fn doom(workload: &Value, pods: &Pods<'_>, now: Timestamp) -> Option<Doom> {
    let lost: Vec<Doom> = pods.new.iter().filter_map(|pod| lost(pod, now)).collect();
    let budget = usize::from(pods.new.iter().any(|pod| is_ready(pod)));
    if lost.len() > budget {
        return lost.into_iter().next();
    }
    refused(workload, now).or_else(|| pods.maker.and_then(|maker| refused(maker, now)))
}

/// The pods cannot even be made.
fn refused(object: &Value, now: Timestamp) -> Option<Doom> {
    let failure = condition(object, "ReplicaFailure").filter(|condition| condition["status"] == "True")?;
    if age(failure, now) < REFUSED {
        return None;
    }
    let message = failure["message"].as_str().unwrap_or_default();
    let sentence = format!("its pods are refused: {message}");
    Some(Doom { cause: Cause::Refused, sentence, pod: None, container: None })
}

/// Seconds since a condition became what it is.
fn age(condition: &Value, now: Timestamp) -> i64 {
    let since: Option<Timestamp> = condition["lastTransitionTime"].as_str().and_then(|time| time.parse().ok());
    since.map_or(0, |since| now.as_second() - since.as_second())
}

fn lost(pod: &Value, now: Timestamp) -> Option<Doom> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let unschedulable = condition(pod, "PodScheduled")
        .filter(|condition| condition["status"] == "False" && condition["reason"] == "Unschedulable");
    if let Some(unschedulable) = unschedulable.filter(|condition| age(condition, now) >= UNSCHEDULABLE) {
        let message = unschedulable["message"].as_str().unwrap_or_default();
        let sentence = format!("pod {name} fits on no node: {message}");
        return Some(Doom { cause: Cause::Unschedulable, sentence, pod: Some(name.to_owned()), container: None });
    }
    containers(pod).find_map(|status| {
        let container = status["name"].as_str().unwrap_or_default();
        let (cause, what) = fate(status)?;
        let sentence = format!("container `{container}` in pod {name} {what}");
        Some(Doom { cause, sentence, pod: Some(name.to_owned()), container: Some(container.to_owned()) })
    })
}

/// The statuses of a pod's containers, those of the init containers first.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|field| pod["status"][field].as_array().into_iter().flatten())
}

/// What a container's status means, if it means that it will not run.
fn fate(status: &Value) -> Option<(Cause, String)> {
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let message = waiting["message"].as_str().unwrap_or_default();
    let image = status["image"].as_str().unwrap_or_default();
    match reason {
        // The first failure, ErrImagePull, may be the network's; the back-off says that it failed again.
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ErrImagePull"
            if reason != "ErrImagePull" || is_final(message) =>
        {
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            return Some((Cause::Image, format!("cannot pull {image} ({reason}){why}")));
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
            return Some((Cause::Configuration, format!("cannot be created ({reason}): {message}")));
        }
        _ => {}
    }
    let ended =
        ["state", "lastState"].into_iter().map(|field| &status[field]["terminated"]).find(|ended| ended.is_object())?;
    let running = status["state"].get("running").is_some();
    let crashes = number(&status["restartCount"]) + u64::from(!running && status["state"].get("terminated").is_some());
    let crashes = if reason == "CrashLoopBackOff" { crashes + 1 } else { crashes };
    if crashes < CRASHES || (running && status["ready"] == true) {
        return None;
    }
    if ended["reason"] == "OOMKilled" {
        return Some((Cause::OutOfMemory, format!("runs out of memory, {crashes} times (OOMKilled)")));
    }
    // Between the crash and the back-off the reason is another one for a moment; this is the word that people know.
    Some((Cause::Crash, format!("{}, {crashes} times (CrashLoopBackOff)", exit(ended))))
}

/// Whether a failure to pull needs no second try.
fn is_final(message: &str) -> bool {
    ["not found", "manifest unknown", "unauthorized", "denied"].iter().any(|word| message.contains(word))
}

/// `exits with code 78`
fn exit(ended: &Value) -> String {
    match (ended["signal"].as_u64().filter(|signal| *signal > 0), ended["exitCode"].as_u64()) {
        (Some(signal), _) => format!("is killed by signal {signal}"),
        (None, Some(code)) if code > 128 => format!("exits with code {code} (signal {})", code - 128),
        (None, Some(code)) => format!("exits with code {code}"),
        (None, None) => "ends".to_owned(),
    }
}

/// What keeps a workload from being ready when its time is over, however small: the first pod that is not ready.
pub(super) fn suspect(pods: &Pods<'_>) -> Option<Doom> {
    let pod = pods.new.iter().find(|pod| !is_ready(pod))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if let Some(status) = containers(pod).find(|status| status["ready"] != true) {
        let container = status["name"].as_str().unwrap_or_default();
        let reason = status["state"]["waiting"]["reason"].as_str();
        let (cause, what) = fate(status).unwrap_or_else(|| match reason {
            Some(reason) => (Cause::Other, format!("waits ({reason})")),
            None if status["state"].get("running").is_some() => (Cause::Unready, "runs but is not ready".to_owned()),
            None => (Cause::Crash, exit(&status["state"]["terminated"])),
        });
        let sentence = format!("container `{container}` in pod {name} {what}");
        return Some(Doom { cause, sentence, pod: Some(name.to_owned()), container: Some(container.to_owned()) });
    }
    let waits = condition(pod, "PodScheduled").filter(|condition| condition["status"] != "True");
    let sentence = match waits {
        Some(waits) => format!("pod {name} fits on no node: {}", waits["message"].as_str().unwrap_or_default()),
        None => format!("pod {name} is {}", pod["status"]["phase"].as_str().unwrap_or("Pending")),
    };
    let cause = if waits.is_some() { Cause::Unschedulable } else { Cause::Other };
    Some(Doom { cause, sentence, pod: Some(name.to_owned()), container: None })
}
