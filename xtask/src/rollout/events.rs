//! Warning events: what only they say, and what they add.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{
    cause::Cause,
    pods::{self, Doom, Pods},
};
use crate::plan::request;

/// How many events are shown.
const SHOWN: usize = 5;

/// How long a volume may fail to mount: what is to be mounted may be about to be made, or still be attached elsewhere.
const MOUNTING: i64 = 30;

/// The Warning events of a namespace, oldest first; without the right to read them there are none.
pub(super) async fn warnings(client: &Client, namespace: &str) -> Vec<Value> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields("type=Warning");
    let Ok(list) = request::retry(|| api.list(&params)).await else { return Vec::new() };
    let mut events: Vec<Value> = list.items.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
    events.sort_by(|left, right| last(left).as_str().cmp(&last(right).as_str()));
    events
}

/// Those about one of these objects.
pub(super) fn about<'a>(
    events: &'a [Value],
    objects: &'a [(&'a str, &'a str)],
) -> impl DoubleEndedIterator<Item = &'a Value> {
    events.iter().filter(move |event| {
        let involved = &event["involvedObject"];
        objects.iter().any(|(kind, name)| involved["kind"] == *kind && involved["name"] == *name)
    })
}

/// The latest of them in words, each once: `BackOff (x3): Back-off restarting ...`.
pub(super) fn lines<'a>(events: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let count = event["count"].as_u64().filter(|count| *count > 1).map(|count| format!(" (x{count})"));
        let line = format!("{}{}: {}", text("reason"), count.unwrap_or_default(), text("message").trim());
        lines.retain(|earlier| *earlier != line);
        lines.push(line);
    }
    let skipped = lines.len().saturating_sub(SHOWN);
    lines.split_off(skipped)
}

/// What events alone say about a workload that waits: of pods that cannot be made, only Deployments tell in their
/// status; of volumes that cannot be mounted, none.
///
/// `patient` waits as long as such things may take; otherwise the first sign will do.
pub(super) fn doom(workload: &Value, pods: &Pods<'_>, events: &[Value], now: Timestamp, patient: bool) -> Option<Doom> {
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().trim().to_owned();
    let persists = |event: &Value, limit: i64| {
        let first =
            ["firstTimestamp", "eventTime"].into_iter().map(|field| &event[field]).find(|time| time.is_string());
        !patient || first.is_some_and(|first| pods::age(first, now) >= limit)
    };
    let maker = pods.maker.unwrap_or(workload);
    let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
    if pods.new.is_empty() {
        let (kind, name) = (kind(maker), pods::name(maker));
        let refused = |event: &&Value| event["reason"] == "FailedCreate" && persists(event, pods::REFUSED);
        let objects = [(kind.as_str(), name)];
        if let Some(event) = about(events, &objects).rev().find(refused) {
            let message = message(event);
            let doom = Doom::new(Cause::of_refusal(&message), format!("its pods are refused: {message}"));
            return Some(Doom { reason: Some("FailedCreate".to_owned()), ..doom });
        }
    }
    pods.new.iter().filter(|pod| is_being_created(pod)).find_map(|pod| {
        let objects = [("Pod", pods::name(pod))];
        let failed = |event: &&Value| {
            matches!(event["reason"].as_str(), Some("FailedMount" | "FailedAttachVolume" | "FailedMapVolume"))
                && persists(event, MOUNTING)
        };
        let event = about(events, &objects).rev().find(failed)?;
        let reason = event["reason"].as_str().unwrap_or_default();
        let message = message(event);
        let sentence = format!("pod {} cannot mount a volume ({reason}): {message}", pods::name(pod));
        Some(Doom::of_pod(Cause::of_mount(&message), pod, reason, sentence))
    })
}

/// What the probe of a container answered last: `Readiness probe failed: HTTP probe failed with statuscode: 503`.
pub(super) fn probe(events: &[Value], pod: &str) -> Option<String> {
    let objects = [("Pod", pod)];
    let event = about(events, &objects).rev().find(|event| event["reason"] == "Unhealthy")?;
    event["message"].as_str().map(|message| message.trim().to_owned())
}

fn is_being_created(pod: &Value) -> bool {
    let waiting = |status: &Value| {
        matches!(status["state"]["waiting"]["reason"].as_str(), Some("ContainerCreating" | "PodInitializing"))
    };
    pods::containers(pod).any(|(status, _)| waiting(status))
}

fn last(event: &Value) -> &Value {
    let fields = ["lastTimestamp", "eventTime", "firstTimestamp"];
    fields.into_iter().map(|field| &event[field]).find(|time| time.is_string()).unwrap_or(&Value::Null)
}
