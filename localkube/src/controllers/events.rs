//! Events as client-go's recorder writes them: repeated ones are counted, floods are aggregated.

mod correlate;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use self::correlate::{Correlator, Group, Written};
use super::pods::now;

/// Whether something went as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// Type `Normal`.
    Normal,
    /// Type `Warning`.
    Warning,
}

#[derive(Debug)]
struct Report {
    component: &'static str,
    action: Option<&'static str>,
    object: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
}

/// Takes events; they are written in the background, so that no controller waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    component: &'static str,
    reports: mpsc::Sender<Report>,
}

/// The object that an event is about.
pub(crate) fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

impl Recorder {
    /// A recorder and the task that writes what it takes.
    pub(crate) fn new(client: Client) -> (Self, impl Future<Output = ()>) {
        let (reports, incoming) = mpsc::channel(1024);
        (Self { component: "", reports }, write(client, incoming))
    }

    /// The same recorder for one component.
    pub(crate) fn named(&self, component: &'static str) -> Self {
        Self { component, reports: self.reports.clone() }
    }

    /// Records that something happened to the object. Events are lost rather than waited for.
    pub(crate) fn record<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.send(None, reference(object), severity, reason, message.into());
    }

    /// The same in the form of events.k8s.io/v1, which the scheduler uses: it names the action and has no source.
    pub(crate) fn record_action<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        severity: Severity,
        reason: &'static str,
        action: &'static str,
        message: impl Into<String>,
    ) {
        self.send(Some(action), reference(object), severity, reason, message.into());
    }

    fn send(
        &self,
        action: Option<&'static str>,
        object: ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let report = Report { component: self.component, action, object, severity, reason, message };
        if self.reports.try_send(report).is_err() {
            tracing::debug!(component = self.component, reason, "too many events, one is lost");
        }
    }
}

async fn write(client: Client, mut incoming: mpsc::Receiver<Report>) {
    let mut correlator = Correlator::default();
    while let Some(report) = incoming.recv().await {
        let group = Group {
            component: report.component,
            object: report.object.uid.clone().unwrap_or_default(),
            severity: report.severity,
            reason: report.reason,
        };
        let namespace = report.object.namespace.clone().filter(|ns| !ns.is_empty()).unwrap_or_else(|| "default".into());
        let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let manager = report.manager();
        let (message, key) = match correlator.correlate(group, report.message.clone(), Instant::now()) {
            Written::Dropped => continue,
            Written::New { message, key } => (message, key),
            Written::Again { name, message, count, key } => {
                let patch = json!({"count": count, "lastTimestamp": now(), "message": message});
                let parameters = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
                match events.patch(&name, &parameters, &Patch::Strategic(patch)).await {
                    Ok(_) => {
                        correlator.written.insert(key, (name, count));
                        continue;
                    }
                    // Somebody deleted the event: it is written anew.
                    Err(_) => (message, key),
                }
            }
        };
        let event = report.event(&namespace, message);
        let name = event.metadata.name.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(manager.into()), dry_run: false };
        match events.create(&parameters, &event).await {
            Ok(_) => {
                correlator.written.insert(key, (name, 1));
            }
            // A namespace that is going away takes no events; nothing is wrong.
            Err(error) => tracing::debug!(%error, reason = report.reason, "event not written"),
        }
    }
}

impl Report {
    fn manager(&self) -> &'static str {
        match self.component {
            "default-scheduler" => "kube-scheduler",
            "kubelet" => "kubelet",
            _ => "kube-controller-manager",
        }
    }

    fn event(&self, namespace: &str, message: String) -> Event {
        let nanoseconds = Timestamp::now().as_nanosecond();
        let modern = self.action.is_some();
        let time = now();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{nanoseconds:x}", self.object.name.as_deref().unwrap_or_default())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: self.object.clone(),
            type_: Some(if self.severity == Severity::Normal { "Normal" } else { "Warning" }.into()),
            reason: Some(self.reason.into()),
            action: self.action.map(Into::into),
            message: Some(message),
            count: (!modern).then_some(1),
            event_time: modern.then(|| MicroTime(Timestamp::now())),
            first_timestamp: (!modern).then(|| time.clone()),
            last_timestamp: (!modern).then_some(time),
            source: (!modern).then(|| EventSource { component: Some(self.component.into()), ..EventSource::default() }),
            reporting_component: Some(self.component.into()),
            reporting_instance: Some(if modern { format!("{}-local", self.component) } else { String::new() }),
            ..Event::default()
        }
    }
}
