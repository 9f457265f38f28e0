//! What a person needs to know about a rollout that failed: captured while its pods are still there.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::LogParams};
use serde::Serialize;
use serde_json::Value;

use super::{
    cause::Cause,
    events,
    pods::{self, Doom, containers},
    readiness::{condition, number},
    scrub,
    snapshot::Snapshot,
};
use crate::{
    config::Unit,
    error::Error,
    plan::{ObjectRef, request},
};

/// How many of a container's last lines are shown.
const LINES: i64 = 20;

/// Why a release failed, for programs. Values of Secrets that the pod was given are hidden in all of its texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The kind of failure.
    pub cause: Cause,
    /// The workload.
    pub object: ObjectRef,
    /// The pod.
    pub pod: Option<String>,
    /// Its container.
    pub container: Option<String>,
    /// Kubernetes' word for it, for example `CrashLoopBackOff`.
    pub reason: Option<String>,
    /// What the container's process ended with.
    pub exit_code: Option<u64>,
    /// The failure in a sentence.
    pub sentence: String,
    /// What the container's probe answered last.
    pub probe: Option<String>,
    /// The last lines of the container, of the run that ended.
    pub log: Vec<String>,
    /// Warning events, the latest last.
    pub events: Vec<String>,
}

/// Puts a workload that is lost into words, with the evidence.
pub(super) async fn explain(
    client: &Client,
    unit: Unit<'_>,
    snapshot: &Snapshot,
    (doing, object): (&str, &ObjectRef),
    doom: Doom,
) -> Error {
    let live = snapshot.get(object);
    let namespace = object.namespace.as_deref().unwrap_or("default");
    let warnings = events::warnings(client, namespace).await;
    let pods = live.map(|live| pods::of(snapshot, live));
    let doom = match &pods {
        Some(pods) => refine(client, pods, &warnings, doom, live).await,
        None => doom,
    };
    let pod = snapshot.of_kind("Pod", Some(namespace)).find(|pod| Some(pods::name(pod)) == doom.pod.as_deref());
    let template = live.map(|live| &live["spec"]["template"]["spec"]);
    let spec = pod.map(|pod| &pod["spec"]).or(template).unwrap_or(&Value::Null);
    let secrets = scrub::given(client, namespace, &[spec]).await;
    let hide = |lines: Vec<String>| lines.iter().map(|line| secrets.scrub_values(line)).collect::<Vec<_>>();

    let log = match (pod, &doom.container) {
        (Some(pod), Some(container)) => last_lines(client, namespace, pod, container).await,
        _ => Vec::new(),
    };
    let mut about: Vec<(&str, &str)> = vec![(&object.kind, &object.name)];
    about.extend(doom.pod.as_deref().map(|pod| ("Pod", pod)));
    let maker = pods.as_ref().and_then(|pods| pods.maker);
    about.extend(maker.and_then(|maker| Some((maker["kind"].as_str()?, pods::name(maker)))));
    let events = hide(events::lines(events::about(&warnings, &about)));
    let probe = doom.pod.as_deref().filter(|_| doom.cause == Cause::Unready);
    let diagnosis = Diagnosis {
        cause: doom.cause,
        object: object.clone(),
        probe: probe.and_then(|pod| events::probe(&warnings, pod)).map(|probe| secrets.scrub_values(&probe)),
        sentence: secrets.scrub_values(&doom.sentence),
        log: hide(log),
        events,
        pod: doom.pod,
        container: doom.container,
        reason: doom.reason,
        exit_code: doom.exit,
    };
    let old = live.filter(|live| live["kind"] == "Deployment").and(pods.as_ref()).map(|pods| pods.old_ready);
    diagnosis.into_error(doing, unit, old)
}

impl Diagnosis {
    /// The failure as a person reads it.
    pub(super) fn into_error(self, doing: &str, unit: Unit<'_>, old_ready: Option<usize>) -> Error {
        let mut error = Error::failed(format!("{doing} {}: {}", self.object, self.sentence));
        if let Some(probe) = &self.probe {
            error = error.cause(probe);
        }
        if !self.log.is_empty() {
            error = error.cause(section("its last lines:", &self.log));
        }
        if !self.events.is_empty() {
            error = error.cause(section("its events:", &self.events));
        }
        if let Some(old) = old_ready {
            error = error.cause(serving(old));
        }
        let hint = self.advice(unit);
        Error { diagnosis: Some(Box::new(self)), ..error.hint(hint) }
    }

    /// The next thing to do.
    fn advice(&self, unit: Unit<'_>) -> String {
        let environment = &unit.environment.name;
        let namespace = self.object.namespace.as_deref().unwrap_or("default");
        let describe = |kind: &str, name: &str| format!("kubectl describe {kind} --namespace {namespace} {name}");
        let own = describe(&self.object.kind.to_ascii_lowercase(), &self.object.name);
        let pod = self.pod.as_deref().map_or_else(|| own.clone(), |pod| describe("pod", pod));
        let log = match (self.object.kind.as_str(), &self.pod, &self.container) {
            ("Deployment", ..) => format!("cargo xtask logs --env {environment} --previous"),
            (_, Some(pod), Some(container)) => {
                format!("kubectl logs --namespace {namespace} {pod} --container {container}")
            }
            _ => own.clone(),
        };
        match self.cause {
            Cause::ImageMissing => {
                format!("correct the image in the manifests, or push it: cargo xtask deploy --env {environment}")
            }
            Cause::RegistryRefused => {
                "give the pods an imagePullSecret that may pull it: kubectl create secret docker-registry".to_owned()
            }
            Cause::ImagePull => format!("can the nodes reach the registry? {pod}"),
            Cause::CrashLoop | Cause::InitFailed | Cause::JobFailed => format!("more of its log: {log}"),
            Cause::OutOfMemory => "raise the container's resources.limits.memory, or make it use less".to_owned(),
            Cause::WrongCommand => "correct command and args in the manifests, or what is in the image".to_owned(),
            Cause::MissingConfiguration => {
                "add what is missing to the manifests, or correct the reference to it, then deploy again".to_owned()
            }
            Cause::Unready => {
                format!("its readiness or startup probe fails: {}", log.trim_end_matches(" --previous"))
            }
            Cause::Unschedulable => "lower resources.requests, or add nodes: kubectl describe nodes".to_owned(),
            Cause::Tainted => "add a toleration to the pods, or take the taint off: kubectl describe nodes".to_owned(),
            Cause::NoSuchNode => {
                "correct nodeSelector or affinity; what labels nodes have: kubectl get nodes --show-labels".to_owned()
            }
            Cause::ClaimPending => format!("why it has no volume: kubectl describe pvc --namespace {namespace}"),
            Cause::VolumeMount | Cause::Start | Cause::Other => pod,
            Cause::QuotaExceeded => {
                format!("raise the quota, or ask for less: kubectl describe quota --namespace {namespace}")
            }
            Cause::AdmissionDenied => "change the pod template to what the message asks for".to_owned(),
            Cause::Refused => format!("correct the pod template: {own}"),
            Cause::Evicted => "raise the limit that it broke in the manifests, or make it use less".to_owned(),
            Cause::NodeLost => "look at the node, and delete it if it will not come back: kubectl get nodes".to_owned(),
            Cause::JobDeadline => "raise activeDeadlineSeconds, or make it do less".to_owned(),
            Cause::ProgressDeadline => own,
        }
    }
}

/// What only events and nodes say is more than what statuses say.
async fn refine(client: &Client, pods: &pods::Pods<'_>, events: &[Value], doom: Doom, live: Option<&Value>) -> Doom {
    let vague = matches!(doom.cause, Cause::Other | Cause::Unready | Cause::ProgressDeadline | Cause::NodeLost);
    let Some(live) = live.filter(|_| vague) else { return doom };
    if doom.cause != Cause::Unready {
        let found = events::doom(live, pods, events, Timestamp::now(), false);
        if let Some(found) = found {
            return found;
        }
    }
    let named = pods.new.iter().find(|pod| Some(pods::name(pod)) == doom.pod.as_deref());
    for pod in named.into_iter().chain(&pods.leaving) {
        let Some(name) = pod["spec"]["nodeName"].as_str() else { continue };
        let nodes: Api<Node> = Api::all(client.clone());
        let Ok(Some(node)) = request::retry(|| nodes.get_opt(name)).await else { continue };
        let node = serde_json::to_value(node).unwrap_or_default();
        if let Some(lost) = node_lost(pod, &node) {
            return lost;
        }
    }
    doom
}

/// What a pod's node has to do with it: its kubelet has gone silent.
pub(super) fn node_lost(pod: &Value, node: &Value) -> Option<Doom> {
    let ready = condition(node, "Ready").filter(|condition| condition["status"] != "True")?;
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    let leaving = pod["metadata"].get("deletionTimestamp").is_some();
    let what = if leaving { "cannot end" } else { "cannot be ready" };
    let sentence = format!(
        "pod {} {what}: its node {} is not ready ({}): {}",
        pods::name(pod),
        pods::name(node),
        text("reason"),
        text("message")
    );
    Some(Doom::of_pod(Cause::NodeLost, pod, text("reason"), sentence))
}

/// Whether requests are still answered.
pub(super) fn serving(old: usize) -> String {
    match old {
        0 => "no old pod serves".to_owned(),
        1 => "1 old pod still serves".to_owned(),
        old => format!("{old} old pods still serve"),
    }
}

fn section(title: &str, lines: &[String]) -> String {
    let mut text = title.to_owned();
    for line in lines {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

/// The last lines of a container: of the run that ended, if it is not running well.
async fn last_lines(client: &Client, namespace: &str, pod: &Value, container: &str) -> Vec<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let status = containers(pod).map(|(status, _)| status).find(|status| status["name"] == container);
    let restarted = status.is_some_and(|status| number(&status["restartCount"]) > 0);
    let waits = status.is_some_and(|status| status["state"].get("waiting").is_some());
    let ended = status.is_some_and(|status| status["lastState"].get("terminated").is_some());
    if waits && !ended {
        // It never ran.
        return Vec::new();
    }
    let read = async |previous| {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LINES),
            ..LogParams::default()
        };
        api.logs(pods::name(pod), &params).await.unwrap_or_default()
    };
    let mut text = if restarted { read(true).await } else { String::new() };
    if text.trim().is_empty() {
        text = read(false).await;
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let skipped = lines.len().saturating_sub(usize::try_from(LINES).unwrap_or_default());
    lines.into_iter().skip(skipped).collect()
}
