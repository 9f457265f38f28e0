//! What a state of the cluster means for a rollout: what waits, what is lost, and both in a few words.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    cause::Cause,
    pods::{self, Doom},
    readiness::{self, Readiness},
    snapshot::Snapshot,
};
use crate::plan::ObjectRef;

/// With the value `false` an object is applied and not waited for.
const WAIT: &str = "slipway.dev/wait";

/// What is to be said about a state of the cluster.
#[derive(Debug)]
pub(super) struct State {
    /// What is not there yet, and what it waits for.
    pub(super) waiting: Vec<(ObjectRef, String)>,
    /// What will not be.
    pub(super) doomed: Option<(ObjectRef, Doom)>,
    /// Both in a few words.
    pub(super) progress: String,
}

impl State {
    pub(super) fn of(snapshot: &Snapshot, objects: &[ObjectRef], now: Timestamp) -> Self {
        let mut state = Self { waiting: Vec::new(), doomed: None, progress: String::new() };
        let mut phrases = Vec::new();
        for object in objects.iter().filter(|object| readiness::has_rules(object.group(), &object.kind)) {
            let Some(live) = snapshot.get(object) else {
                state.waiting.push((object.clone(), "it to be there".to_owned()));
                continue;
            };
            if live["metadata"]["annotations"][WAIT] == "false" {
                continue;
            }
            let pods = is_workload(&object.kind).then(|| pods::of(snapshot, live));
            let readiness = judge(snapshot, object, live);
            if let (Some(pods), "Deployment") = (&pods, object.kind.as_str()) {
                phrases.push(phrase(live, pods, readiness == Readiness::Ready));
            }
            match readiness {
                Readiness::Ready => {}
                Readiness::Failed(why) => {
                    let suspect = pods.as_ref().and_then(|pods| pods::suspect(pods));
                    let doom = blame(&object.kind, why, suspect);
                    state.doomed.get_or_insert((object.clone(), doom));
                }
                Readiness::Waiting(what) => {
                    if let Some(doom) = pods.as_ref().and_then(|pods| pods::doom(live, pods, now)) {
                        state.doomed.get_or_insert((object.clone(), doom));
                    }
                    state.waiting.push((object.clone(), what));
                }
            }
        }
        let others = state.waiting.iter().filter(|(object, _)| object.kind != "Deployment");
        phrases.extend(others.map(|(object, what)| format!("{object} waits for {what}")).take(2));
        if phrases.is_empty() {
            phrases.push("nothing to wait for".to_owned());
        }
        state.progress = phrases.join("; ");
        state
    }
}

/// Whether it makes pods, or is one.
pub(super) fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "Pod")
}

/// What a controller says, together with what is wrong with a pod, if anything is.
fn blame(kind: &str, why: String, suspect: Option<Doom>) -> Doom {
    let reason = why.split(':').next().filter(|reason| !reason.contains(' ')).map(str::to_owned);
    match (kind, reason.as_deref(), suspect) {
        ("Job", Some("DeadlineExceeded"), suspect) => {
            let doom = Doom::new(Cause::JobDeadline, why);
            // The pod that was not done, with its log.
            let (pod, container) = suspect.map(|suspect| (suspect.pod, suspect.container)).unwrap_or_default();
            Doom { reason, pod, container, ..doom }
        }
        ("Job", Some(word), Some(suspect)) => {
            let vague = matches!(suspect.cause, Cause::CrashLoop | Cause::Other);
            let cause = if vague { Cause::JobFailed } else { suspect.cause };
            let sentence = format!("{} ({word})", suspect.sentence);
            Doom { cause, sentence, reason, ..suspect }
        }
        (_, Some("ProgressDeadlineExceeded"), Some(suspect)) if suspect.cause == Cause::Other => {
            let sentence = format!("{}: {why}", suspect.sentence);
            Doom { cause: Cause::ProgressDeadline, sentence, reason, ..suspect }
        }
        (_, _, Some(suspect)) => suspect,
        ("Job", ..) => Doom { reason, ..Doom::new(Cause::JobFailed, why) },
        (_, Some("ProgressDeadlineExceeded"), _) => Doom { reason, ..Doom::new(Cause::ProgressDeadline, why) },
        _ => Doom { reason, ..Doom::new(Cause::Other, why) },
    }
}

fn judge(snapshot: &Snapshot, object: &ObjectRef, live: &Value) -> Readiness {
    match (object.group(), object.kind.as_str()) {
        ("autoscaling", _) => {
            let target = &live["spec"]["scaleTargetRef"];
            let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
            let target = ObjectRef {
                api_version: text("apiVersion"),
                kind: text("kind"),
                namespace: object.namespace.clone(),
                name: text("name"),
            };
            readiness::autoscaler(live, snapshot.get(&target))
        }
        ("", "PersistentVolumeClaim") => {
            let class = live["spec"]["storageClassName"].as_str();
            let mut classes = snapshot.of_kind("StorageClass", None);
            let class = classes.find(|found| Some(pods::name(found)) == class);
            let claim = (pods::name(live), object.namespace.as_deref());
            let user = snapshot.of_kind("Pod", claim.1).find(|pod| uses(pod, claim.0));
            readiness::claim(live, class, user)
        }
        _ => readiness::of(live),
    }
}

/// Whether a pod that runs, or is to, mounts this claim.
fn uses(pod: &Value, claim: &str) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
        && volumes.into_iter().flatten().any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

/// `1 of 3 new pods ready, 3 old ones still serve`
fn phrase(deployment: &Value, pods: &pods::Pods<'_>, done: bool) -> String {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    if done {
        return format!("{wanted} of {wanted} pods new and available");
    }
    let ready = pods.new.iter().filter(|pod| pods::is_ready(pod)).count();
    let old = match pods.old_ready {
        0 => String::new(),
        1 => ", 1 old one still serves".to_owned(),
        old => format!(", {old} old ones still serve"),
    };
    format!("{ready} of {wanted} new pods ready{old}")
}
