//! One pod from its binding to its end: volumes, sandbox, init containers, containers, and the way out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    Kubelet, cleanup,
    container::{self, Kind, Runner},
    deadline,
    downward::Facts,
    events::Severity,
    images, names,
    sandbox::{self, Sandbox},
    status::{self, ContainerView, PodView},
    terminate,
    volumes::{self, Places, Tokens},
};

/// How often files from ConfigMaps and Secrets are brought up to date: as the kubelet does.
const REFRESH: Duration = Duration::from_secs(60);
/// Between two tries at something that keeps a pod from starting.
const RETRY: Duration = Duration::from_secs(2);

/// The pod as the API server has it, and whether it still has it.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) pod: Arc<Pod>,
    pub(super) gone: bool,
}

impl Latest {
    fn leaving(&self) -> bool {
        self.gone || self.pod.metadata.deletion_timestamp.is_some()
    }
}

/// What the parts of one pod's work share.
pub(super) struct PodContext {
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) latest: watch::Receiver<Latest>,
    /// Every change of it is published.
    pub(super) view: watch::Sender<PodView>,
    /// Work in the engine that has to be over before what it makes can be removed.
    pub(super) tracker: TaskTracker,
    tokens: Tokens,
    published: tokio::sync::Mutex<Option<Value>>,
}

/// A container of the pod that the engine has from an earlier life of this process.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) attempt: i32,
    pub(super) hash: String,
    pub(super) running: bool,
}

impl PodContext {
    pub(super) fn pod(&self) -> Arc<Pod> {
        Arc::clone(&self.latest.borrow().pod)
    }

    /// Changes what is known of the pod.
    pub(super) fn update(&self, change: impl FnOnce(&mut PodView)) {
        self.view.send_modify(change);
    }

    /// Changes what is known of a container.
    pub(super) fn update_container(&self, name: &str, change: impl FnOnce(&mut ContainerView)) {
        self.update(|view| change(view.containers.entry(name.to_owned()).or_default()));
    }

    /// Records an event about the pod.
    pub(super) fn event(&self, severity: Severity, reason: &'static str, message: impl Into<String>) {
        self.kubelet.recorder.record(reference(&self.pod(), None), severity, reason, message);
    }

    /// Records an event about a container.
    pub(super) fn container_event(
        &self,
        container: &Container,
        kind: Kind,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let list = if kind == Kind::Main { "containers" } else { "initContainers" };
        let field = format!("spec.{list}{{{}}}", container.name);
        self.kubelet.recorder.record(reference(&self.pod(), Some(field)), severity, reason, message);
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            pod_ip: self.view.borrow().ip.clone().unwrap_or_default(),
            host_ip: self.kubelet.options.subnet.host().to_string(),
            allocatable: self.kubelet.allocatable(),
        }
    }

    /// Waits until nothing is being made in the engine: what was, can be found then.
    pub(super) async fn settle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }

    /// Writes the status if it differs from the one written last.
    pub(super) async fn publish(&self) -> Result<(), kube::Error> {
        let mut published = self.published.lock().await;
        let latest = self.latest.borrow().clone();
        if latest.gone {
            return Ok(());
        }
        let view = self.view.borrow().clone();
        let status = status::status(&latest.pod, &view, &self.kubelet.options.subnet.host().to_string());
        if published.as_ref() == Some(&status) {
            return Ok(());
        }
        self.kubelet.patch_status(&latest.pod, &status).await?;
        *published = Some(status);
        Ok(())
    }
}

fn reference(pod: &Pod, field_path: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path,
    }
}

/// Runs the pod until it is deleted and nothing of it is left.
pub(super) async fn run(kubelet: Arc<Kubelet>, latest: watch::Receiver<Latest>) {
    let pod = Arc::clone(&latest.borrow().pod);
    let before = pod.status.clone().unwrap_or_default();
    let start = before.start_time.as_ref().map_or_else(Timestamp::now, |time| time.0);
    let context = Arc::new(PodContext {
        kubelet,
        latest: latest.clone(),
        view: watch::Sender::new(PodView { start: Some(start), ip: before.pod_ip, ..Default::default() }),
        tracker: TaskTracker::new(),
        tokens: Mutex::default(),
        published: tokio::sync::Mutex::default(),
    });
    let ended = matches!(before.phase.as_deref(), Some("Succeeded" | "Failed"));
    if !ended {
        let mut changes = latest.clone();
        let publisher = publish_changes(Arc::clone(&context));
        let live = async {
            live(&context).await;
            // Over, and kept for its logs until somebody deletes it.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = live => {}
            () = publisher => {}
            _ = changes.wait_for(Latest::leaving) => {}
        }
    } else {
        let mut changes = latest.clone();
        let _ = changes.wait_for(Latest::leaving).await;
    }
    terminate::run(&context, ended).await;
}

/// Publishes each change, and again after each change of the pod itself; several at once are one.
async fn publish_changes(context: Arc<PodContext>) {
    let mut views = context.view.subscribe();
    let mut latest = context.latest.clone();
    loop {
        views.mark_unchanged();
        latest.mark_unchanged();
        if let Err(error) = context.publish().await {
            tracing::debug!(%error, pod = names::full(&context.pod()), "the pod's status was not written");
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        tokio::select! {
            result = views.changed() => if result.is_err() { return },
            result = latest.changed() => if result.is_err() { return },
        }
    }
}

/// Until every container has ended for good.
async fn live(context: &Arc<PodContext>) {
    context.kubelet.prepared().await;
    let mut found = find(context).await;
    loop {
        let places = Arc::new(places(context).await);
        let Some(sandbox) = sandbox(context, &places, &mut found).await else {
            sleep(RETRY).await;
            continue;
        };
        context.update(|view| {
            view.sandbox = true;
            view.ip = Some(sandbox.ip.clone());
        });
        tokio::select! {
            () = containers(context, &sandbox, &places, std::mem::take(&mut found.containers)) => break,
            _ = context.kubelet.exits.wait(&sandbox.id) => {}
            () = refresh(context) => {}
            () = deadline::passed(context) => {
                let message = "Pod was active on the node longer than the specified deadline";
                context.event(Severity::Normal, "DeadlineExceeded", message);
                context.update(|view| view.refused = Some(("DeadlineExceeded", message.to_owned())));
                break;
            }
        }
        // The engine was restarted, or somebody removed the sandbox: addresses are lost, so the containers go too.
        context.event(Severity::Normal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
        context.update(|view| view.sandbox = false);
        context.kubelet.exits.connected().await;
        context.settle().await;
        found = find(context).await;
    }
    context.update(|view| {
        view.over = true;
        view.sandbox = false;
        view.containers.values_mut().for_each(|container| container.ready = false);
    });
    terminate::stop_rest(context).await;
}

/// What the engine has of this pod.
#[derive(Debug, Default)]
struct Remains {
    sandbox: Option<Found>,
    containers: HashMap<String, Found>,
}

async fn find(context: &PodContext) -> Remains {
    let kubelet = &context.kubelet;
    let pod = context.pod();
    let filters = names::filter(&[(names::CLUSTER, &kubelet.options.cluster_id), (names::POD_UID, names::uid(&pod))]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let mut remains = Remains::default();
    let list = loop {
        match kubelet.docker.list_containers(Some(options.clone())).await {
            Ok(list) => break list,
            Err(_) => sleep(RETRY).await,
        }
    };
    for summary in list {
        let labels = summary.labels.unwrap_or_default();
        let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let found = Found {
            id: summary.id.unwrap_or_default(),
            attempt: label(names::ATTEMPT).parse().unwrap_or_default(),
            hash: label(names::HASH),
            running: summary.state.is_some_and(|state| state.to_string() == "running"),
        };
        let state = summary.state.map(|state| state.to_string()).unwrap_or_default();
        if label(names::ROLE) == names::ROLE_SANDBOX {
            remains.sandbox = Some(found);
        } else if state == "created" {
            // Made by a process that was killed before it could start it.
            cleanup::remove(&kubelet.docker, &found.id).await;
        } else {
            let known = remains.containers.entry(label(names::CONTAINER)).or_insert_with(|| found.clone());
            if found.attempt > known.attempt {
                *known = found;
            }
        }
    }
    remains
}

/// The pod's volumes; what keeps them from being made is told and tried again.
async fn places(context: &PodContext) -> Places {
    loop {
        match volumes::prepare(&context.kubelet, &context.pod(), &context.facts(), &context.tokens).await {
            Ok(places) => return places,
            Err(message) => context.event(Severity::Warning, "FailedMount", message),
        }
        let mut latest = context.latest.clone();
        let _ = timeout(RETRY, latest.changed()).await;
    }
}

async fn refresh(context: &PodContext) {
    loop {
        sleep(REFRESH).await;
        if let Err(error) = volumes::prepare(&context.kubelet, &context.pod(), &context.facts(), &context.tokens).await
        {
            tracing::debug!(error, pod = names::full(&context.pod()), "volumes were not brought up to date");
        }
    }
}

/// The sandbox that still runs, or a new one. A new one means that containers of an old one can't go on.
async fn sandbox(context: &Arc<PodContext>, places: &Arc<Places>, found: &mut Remains) -> Option<Sandbox> {
    let kubelet = &context.kubelet;
    if let Some(old) = found.sandbox.take() {
        if old.running
            && let Ok(known) = kubelet.docker.inspect_container(&old.id, None::<InspectContainerOptions>).await
        {
            let ip = sandbox::address(&known).unwrap_or_else(|| kubelet.options.subnet.host().to_string());
            return Some(Sandbox { id: old.id, ip });
        }
        for container in found.containers.values_mut().filter(|container| container.running) {
            cleanup::kill(&kubelet.docker, &container.id).await;
            container.running = false;
        }
        cleanup::remove(&kubelet.docker, &old.id).await;
    }
    let work = {
        let (context, places) = (Arc::clone(context), Arc::clone(places));
        async move { sandbox::start(&context.kubelet, &context.pod(), &places).await }
    };
    match context.tracker.spawn(work).await.ok()? {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            let message = format!("Failed to create pod sandbox: {}", images::words(&error));
            context.event(Severity::Warning, "FailedCreatePodSandBox", message);
            cleanup::remove(&kubelet.docker, &names::sandbox(&kubelet.options.cluster_id, &context.pod())).await;
            if !super::unavailable(&error) {
                kubelet.prepare().await;
            }
            None
        }
    }
}

/// Init containers one after the other, then all others at once; done when the main ones are.
async fn containers(
    context: &Arc<PodContext>,
    sandbox: &Sandbox,
    places: &Arc<Places>,
    mut found: HashMap<String, Found>,
) {
    let spec = context.pod().spec.clone().unwrap_or_default();
    let init: Vec<Container> = spec.init_containers.clone().unwrap_or_default();
    let reason = if init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    context.update(|view| {
        for container in init.iter().chain(&spec.containers) {
            let view = view.containers.entry(container.name.clone()).or_default();
            if view.state == Default::default() {
                view.wait(reason, None);
            }
        }
    });
    let mut runner = |container: &Container, kind: Kind| Runner {
        context: Arc::clone(context),
        container: container.clone(),
        kind,
        sandbox: sandbox.clone(),
        places: Arc::clone(places),
        found: found.remove(&container.name),
    };
    let mut sidecars = JoinSet::new();
    for container in &init {
        if status::is_sidecar(container) {
            sidecars.spawn(container::run(runner(container, Kind::Sidecar)));
            let mut views = context.view.subscribe();
            let started =
                |view: &PodView| view.containers.get(&container.name).is_some_and(|container| container.started);
            let _ = views.wait_for(started).await;
            continue;
        }
        container::run(runner(container, Kind::Init)).await;
        let view = context.view.borrow().containers.get(&container.name).cloned().unwrap_or_default();
        if view.state.terminated.is_none_or(|ended| ended.exit_code != 0) {
            return;
        }
    }
    let mut main = JoinSet::new();
    for container in &spec.containers {
        main.spawn(container::run(runner(container, Kind::Main)));
    }
    while main.join_next().await.is_some() {}
}
