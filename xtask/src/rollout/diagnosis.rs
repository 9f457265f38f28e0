//! What a person needs to know about a rollout that failed: captured while its pods are still there.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};
use serde_json::Value;

use super::{
    pods::{self, Cause, Doom, containers},
    readiness::number,
    snapshot::Snapshot,
};
use crate::{
    config::Environment,
    error::Error,
    plan::{ObjectRef, request},
};

/// How many of a container's last lines are shown.
const LINES: i64 = 20;

/// How many events are shown.
const EVENTS: usize = 5;

/// Puts a doomed workload into words, with the last lines of its container and its Warning events.
pub(super) async fn explain(
    client: &Client,
    environment: &Environment,
    snapshot: &Snapshot,
    object: &ObjectRef,
    doom: Doom,
) -> Error {
    let live = snapshot.get(object);
    let mut error = Error::failed(format!("rollout of {object}: {}", doom.sentence));
    let namespace = object.namespace.as_deref().unwrap_or("default");
    let lines = match (&doom.pod, &doom.container) {
        (Some(pod), Some(container)) => last_lines(client, snapshot, namespace, pod, container).await,
        _ => Vec::new(),
    };
    if !lines.is_empty() {
        error = error.cause(section("its last lines:", &lines));
    }
    let mut about: Vec<(&str, &str)> = vec![(&object.kind, &object.name)];
    about.extend(doom.pod.as_deref().map(|pod| ("Pod", pod)));
    let maker = live.and_then(|live| pods::of(snapshot, live).maker);
    about.extend(maker.and_then(|maker| Some((maker["kind"].as_str()?, maker["metadata"]["name"].as_str()?))));
    let events = warnings(client, namespace, &about).await;
    if !events.is_empty() {
        error = error.cause(section("its events:", &events));
    }
    if let Some(live) = live.filter(|live| live["kind"] == "Deployment") {
        error = error.cause(serving(pods::of(snapshot, live).old_ready));
    }
    error.hint(advice(environment, object, &doom))
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

/// The next thing to do.
pub(super) fn advice(environment: &Environment, object: &ObjectRef, doom: &Doom) -> String {
    let name = &environment.name;
    let pod = doom.pod.as_deref().unwrap_or(&object.name);
    let namespace = object.namespace.as_deref().unwrap_or("default");
    match doom.cause {
        Cause::Image => format!("correct the image in the manifests, or push it: cargo xtask deploy --env {name}"),
        Cause::Configuration => {
            "add what is missing to the manifests, or correct the reference to it, then deploy again".to_owned()
        }
        Cause::Crash => format!("more of its log: cargo xtask logs --env {name} --previous"),
        Cause::OutOfMemory => "raise the container's resources.limits.memory, or make it use less".to_owned(),
        Cause::Unschedulable => "lower resources.requests, or add nodes: kubectl describe nodes".to_owned(),
        Cause::Refused => "correct the pod template, or raise the quota of the namespace".to_owned(),
        Cause::Unready => format!("its readiness or startup probe fails: cargo xtask logs --env {name}"),
        Cause::Other => format!("kubectl describe pod --namespace {namespace} {pod}"),
    }
}

/// The last lines of a container: of the run that ended, if it is not running well.
async fn last_lines(client: &Client, snapshot: &Snapshot, namespace: &str, pod: &str, container: &str) -> Vec<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let live = snapshot.of_kind("Pod", Some(namespace)).find(|live| live["metadata"]["name"] == pod);
    let status = live.and_then(|live| containers(live).find(|status| status["name"] == container));
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
        api.logs(pod, &params).await.unwrap_or_default()
    };
    let mut text = if restarted { read(true).await } else { String::new() };
    if text.trim().is_empty() {
        text = read(false).await;
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let skipped = lines.len().saturating_sub(usize::try_from(LINES).unwrap_or_default());
    lines.into_iter().skip(skipped).collect()
}

/// The latest Warning events about any of these objects, oldest first: `BackOff (x3): Back-off restarting ...`.
async fn warnings(client: &Client, namespace: &str, about: &[(&str, &str)]) -> Vec<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields("type=Warning");
    // Without events there is still the rest to say.
    let Ok(list) = request::retry(|| api.list(&params)).await else { return Vec::new() };
    let events = list.items.iter().filter_map(|event| serde_json::to_value(event).ok());
    let mut events: Vec<Value> = events.filter(|event| concerns(event, about)).collect();
    events.sort_by(|left, right| time(left).cmp(time(right)));
    let mut lines: Vec<String> = Vec::new();
    for event in &events {
        let line = warning(event);
        lines.retain(|earlier| *earlier != line);
        lines.push(line);
    }
    let skipped = lines.len().saturating_sub(EVENTS);
    lines.into_iter().skip(skipped).collect()
}

fn concerns(event: &Value, about: &[(&str, &str)]) -> bool {
    let involved = &event["involvedObject"];
    event["type"] == "Warning"
        && about.iter().any(|(kind, name)| involved["kind"] == *kind && involved["name"] == *name)
}

fn time(event: &Value) -> &str {
    ["lastTimestamp", "eventTime", "firstTimestamp"]
        .into_iter()
        .find_map(|field| event[field].as_str())
        .unwrap_or_default()
}

fn warning(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let count = event["count"].as_u64().filter(|count| *count > 1).map(|count| format!(" (x{count})"));
    format!("{}{}: {}", text("reason"), count.unwrap_or_default(), text("message").trim())
}
