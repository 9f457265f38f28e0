//! Events about pods and the node, as `kubectl describe` shows them: repeated ones are counted, not repeated.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use tokio::sync::mpsc;

/// How many different events are remembered for counting.
const REMEMBERED: usize = 2048;

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// `Normal`
    Normal,
    /// `Warning`
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    field: Option<String>,
    severity: Severity,
    reason: &'static str,
    message: String,
}

struct Entry {
    key: Key,
    about: ObjectReference,
    at: Timestamp,
}

/// Sends events in the order they were recorded, off the path of the work they are about.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    sender: mpsc::UnboundedSender<Entry>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts the sender; it ends with the last clone of the recorder.
    pub(crate) fn start(client: Client, component: &'static str, host: Option<String>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(send(client, component, host, receiver));
        Self { sender }
    }

    /// Records an event about an object or, by the reference's `fieldPath`, a part of it.
    pub(crate) fn record(
        &self,
        about: ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let key = Key {
            uid: about.uid.clone().unwrap_or_default(),
            field: about.field_path.clone(),
            severity,
            reason,
            // etcd's limit on an event's message is the API server's: 1024 characters.
            message: message.into().chars().take(1024).collect(),
        };
        // The receiver is gone only when the process ends.
        let _ = self.sender.send(Entry { key, about, at: Timestamp::now() });
    }
}

async fn send(
    client: Client,
    component: &'static str,
    host: Option<String>,
    mut receiver: mpsc::UnboundedReceiver<Entry>,
) {
    let mut known: HashMap<Key, (String, i32)> = HashMap::new();
    while let Some(Entry { key, about, at }) = receiver.recv().await {
        let api: Api<Event> = Api::namespaced(client.clone(), about.namespace.as_deref().unwrap_or("default"));
        if known.len() >= REMEMBERED {
            known.clear();
        }
        if let Some((name, count)) = known.get_mut(&key) {
            let patch = serde_json::json!({"count": *count + 1, "lastTimestamp": seconds(at)});
            if api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.is_ok() {
                *count += 1;
                continue;
            }
        }
        let name =
            format!("{}.{:016x}", about.name.as_deref().unwrap_or_default(), at.as_nanosecond() & i128::from(u64::MAX));
        let event = event(&name, &key, about, at, component, host.as_deref());
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => drop(known.insert(key, (name, 1))),
            // 403: the namespace is going away, and its events with it.
            Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => {}
            Err(error) => tracing::debug!(%error, reason = key.reason, "an event was not recorded"),
        }
    }
}

fn event(name: &str, key: &Key, about: ObjectReference, at: Timestamp, component: &str, host: Option<&str>) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..Default::default()
        },
        involved_object: about,
        reason: Some(key.reason.to_owned()),
        message: Some(key.message.clone()),
        type_: Some(if key.severity == Severity::Normal { "Normal" } else { "Warning" }.to_owned()),
        source: Some(EventSource { component: Some(component.to_owned()), host: host.map(str::to_owned) }),
        first_timestamp: Some(Time(seconds(at))),
        last_timestamp: Some(Time(seconds(at))),
        count: Some(1),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(host.unwrap_or_default().to_owned()),
        ..Default::default()
    }
}

/// `metav1.Time` has whole seconds.
pub(crate) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
