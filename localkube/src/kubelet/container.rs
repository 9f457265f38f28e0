//! One container of a pod through all its restarts: image, creation, start, probes, end, back-off.

use std::{sync::Arc, time::Duration};

use bollard::{
    models::ContainerInspectResponse,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerState, ContainerStateRunning},
    apimachinery::pkg::apis::meta::v1::Time,
};
use tokio::time::{Instant, sleep};

use super::{
    attend, cleanup, containers,
    environment::{self, Variables},
    events::{Severity, seconds},
    exit, hooks,
    images::{self, Image},
    names,
    pod::{Found, PodContext},
    probes::Target,
    pull,
    sandbox::Sandbox,
    security, services,
    sources::Sources,
    unavailable,
    volumes::{self, Places},
};

/// Before a container whose configuration is missing is tried again.
const CONFIGURATION_RETRY: Duration = Duration::from_secs(3);
/// Before a container is tried again after the engine didn't answer.
const ENGINE_RETRY: Duration = Duration::from_secs(1);

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs to its end before the next is started.
    Init,
    /// An init container that goes on beside the others (KEP-753).
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// Everything that a container's work needs.
pub(super) struct Runner {
    pub(super) context: Arc<PodContext>,
    pub(super) container: Container,
    pub(super) kind: Kind,
    pub(super) sandbox: Sandbox,
    pub(super) places: Arc<Places>,
    pub(super) found: Option<Found>,
}

/// A container that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) id: String,
    pub(super) since: Instant,
    /// Kept from an earlier life of this process: it was ready before.
    pub(super) adopted: bool,
}

/// Why a container doesn't run.
enum Problem {
    /// A reason and message for `waiting`, until it is tried again.
    Waiting(&'static str, String),
    /// It was made, but its process couldn't be started.
    Start(String, String),
    /// The engine doesn't answer.
    Engine,
}

/// Runs the container until it has ended for good.
pub(super) async fn run(mut runner: Runner) {
    let mut back_off = exit::BackOff::default();
    let mut attempt = 0;
    let mut current = None;
    if let Some(found) = runner.found.take() {
        attempt = found.attempt;
        current = adopt(&runner, &found).await;
        if current.is_none() && !after_exit(&runner, &mut back_off, &found.id).await {
            return;
        }
        attempt += i32::from(current.is_none());
    }
    loop {
        let running = match current.take() {
            Some(running) => running,
            None => match start(&mut runner, attempt).await {
                Ok(running) => running,
                Err(Problem::Engine) => {
                    sleep(ENGINE_RETRY).await;
                    continue;
                }
                Err(Problem::Waiting(reason, message)) => {
                    runner.event(Severity::Warning, "Failed", format!("Error: {message}"));
                    runner.view(|view| view.wait(reason, Some(message)));
                    sleep(CONFIGURATION_RETRY).await;
                    continue;
                }
                Err(Problem::Start(id, message)) => {
                    runner.event(Severity::Warning, "Failed", format!("Error: {message}"));
                    let ended = exit::not_started(&id, message);
                    runner.view(|view| {
                        view.id = Some(format!("docker://{id}"));
                        view.restarts = attempt;
                    });
                    runner.ended(ended.clone());
                    if !exit::restarts(&runner, &ended) {
                        return;
                    }
                    back_off.wait(&runner, &ended).await;
                    attempt += 1;
                    continue;
                }
            },
        };
        attend::until_end(&mut runner, &running).await;
        if !after_exit(&runner, &mut back_off, &running.id).await {
            return;
        }
        attempt += 1;
    }
}

impl Runner {
    pub(super) fn event(&self, severity: Severity, reason: &'static str, message: impl Into<String>) {
        self.context.container_event(&self.container, self.kind, severity, reason, message);
    }

    pub(super) fn view(&self, change: impl FnOnce(&mut super::status::ContainerView)) {
        self.context.update_container(&self.container.name, change);
    }

    /// Shows the container as ended.
    pub(super) fn ended(&self, ended: k8s_openapi::api::core::v1::ContainerStateTerminated) {
        self.view(|view| {
            view.ready = false;
            view.started = false;
            view.state = ContainerState { terminated: Some(ended), ..Default::default() };
        });
    }

    /// Where probes and hooks reach a container.
    pub(super) fn target(&self, id: &str) -> Target {
        Target {
            docker: self.context.kubelet.docker.clone(),
            id: id.to_owned(),
            ip: self.sandbox.ip.clone(),
            container: self.container.clone(),
        }
    }

    /// The image is the one thing in a container that may change; true when it did.
    pub(super) fn take_image(&mut self) -> bool {
        let pod = self.context.pod();
        let spec = pod.spec.as_ref();
        let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let now = all.into_iter().find(|container| container.name == self.container.name);
        let Some(now) = now.filter(|now| now.image != self.container.image) else { return false };
        self.container.image.clone_from(&now.image);
        true
    }
}

/// Goes on with a container that outlived the process which started it.
async fn adopt(runner: &Runner, found: &Found) -> Option<Running> {
    if !found.running {
        return None;
    }
    let context = &runner.context;
    if found.hash != containers::hash(&runner.container) {
        cleanup::kill(&context.kubelet.docker, &found.id).await;
        return None;
    }
    let pod = context.pod();
    let status = pod.status.as_ref();
    let known = status.into_iter().flat_map(|status| {
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
    });
    let before = known.into_iter().find(|status| status.name == runner.container.name).cloned();
    let name = context.kubelet.options.mirrors.name(runner.container.image.as_deref().unwrap_or_default());
    let image = images::find(&context.kubelet.docker, &name).await;
    let started = cleanup::inspect(&context.kubelet.docker, &found.id).await;
    let started = started.and_then(|found| exit::started_at(&found)).unwrap_or_else(Timestamp::now);
    runner.view(|view| {
        show_running(view, &found.id, started, found.attempt);
        if let Ok(Some(image)) = &image {
            view.image_id = image.reference();
        }
        if let Some(before) = &before {
            view.ready = before.ready;
            view.started = before.started.unwrap_or_default();
            view.last = before.last_state.clone().unwrap_or_default();
        }
    });
    let age = Timestamp::now().duration_since(started);
    let since = Instant::now().checked_sub(age.unsigned_abs()).unwrap_or_else(Instant::now);
    Some(Running { id: found.id.clone(), since, adopted: before.is_some_and(|before| before.ready) })
}

fn show_running(view: &mut super::status::ContainerView, id: &str, at: Timestamp, attempt: i32) {
    if view.state.terminated.is_some() {
        view.last = std::mem::take(&mut view.state);
    }
    view.state = ContainerState {
        running: Some(ContainerStateRunning { started_at: Some(Time(seconds(at))) }),
        ..Default::default()
    };
    view.id = Some(format!("docker://{id}"));
    view.restarts = attempt;
}

/// Whether the container is to be started again; if so, not before its time.
async fn after_exit(runner: &Runner, back_off: &mut exit::BackOff, id: &str) -> bool {
    let found: Option<ContainerInspectResponse> = cleanup::inspect(&runner.context.kubelet.docker, id).await;
    let ended = exit::describe(runner, id, found.as_ref()).await;
    runner.view(|view| view.id = Some(format!("docker://{id}")));
    runner.ended(ended.clone());
    if !exit::restarts(runner, &ended) {
        return false;
    }
    back_off.wait(runner, &ended).await;
    true
}

async fn start(runner: &mut Runner, attempt: i32) -> Result<Running, Problem> {
    runner.take_image();
    let image = pull::ensure(runner).await;
    runner.view(|view| view.image_id = image.reference());
    let pod = runner.context.pod();
    let configuration = |message| Problem::Waiting("CreateContainerConfigError", message);
    security::verify_non_root(&pod, &runner.container, &image.user).map_err(configuration)?;
    let mut sources = Sources::new(runner.context.kubelet.client.clone(), names::namespace(&pod));
    let services = services::variables(&runner.context.kubelet.client, &pod).await;
    let facts = runner.context.facts();
    let variables =
        environment::resolve(&pod, &runner.container, &facts, &mut sources, services).await.map_err(configuration)?;
    let work = {
        let (context, container) = (Arc::clone(&runner.context), runner.container.clone());
        let (places, sandbox) = (Arc::clone(&runner.places), runner.sandbox.clone());
        async move { make(&context, &container, &image, &sandbox, &places, attempt, &variables).await }
    };
    // A pod that is deleted now must find this container, whole, and remove it.
    let made = runner.context.tracker.spawn(work).await.unwrap_or(Err(Problem::Engine));
    if made.is_ok() || matches!(made, Err(Problem::Start(..))) {
        runner.event(Severity::Normal, "Created", "Container created");
    }
    let id = made?;
    runner.event(Severity::Normal, "Started", "Container started");
    let now = Timestamp::now();
    runner.view(|view| show_running(view, &id, now, attempt));
    let running = Running { id, since: Instant::now(), adopted: false };
    if let Err(message) = hooks::post_start(runner, &running.id).await {
        runner.event(Severity::Warning, "FailedPostStartHook", message);
        runner.event(
            Severity::Normal,
            "Killing",
            format!("FailedPostStartHook: container {} will be killed", runner.container.name),
        );
        hooks::stop(runner, &running.id, None).await;
    }
    Ok(running)
}

async fn make(
    context: &PodContext,
    container: &Container,
    image: &Image,
    sandbox: &Sandbox,
    places: &Places,
    attempt: i32,
    variables: &Variables,
) -> Result<String, Problem> {
    let kubelet = &context.kubelet;
    let pod = context.pod();
    let expand = |text: &str| {
        environment::command(Some(&vec![text.to_owned()]), variables)
            .and_then(|mut words| words.pop())
            .unwrap_or_default()
    };
    let mounts = volumes::mounts(kubelet, container, places, expand)
        .await
        .map_err(|message| Problem::Waiting("CreateContainerConfigError", message))?;
    let message = exit::message_file(kubelet, &pod, container, attempt)
        .map_err(|error| Problem::Waiting("CreateContainerError", error.to_string()))?;
    let options = &kubelet.options;
    let parts = containers::Parts {
        options,
        pod: &pod,
        container,
        image,
        sandbox,
        attempt,
        variables,
        mounts,
        message: &message,
    };
    let name = names::container(&options.cluster_id, &pod, &container.name, attempt);
    let create = || {
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        kubelet.docker.create_container(Some(options), containers::body(parts))
    };
    let created = match create().await {
        Ok(created) => created,
        Err(error) if unavailable(&error) => return Err(Problem::Engine),
        Err(error) => {
            // One that was made but never started, by a process killed in between, is in the way.
            cleanup::remove(&kubelet.docker, &name).await;
            return Err(Problem::Waiting("CreateContainerError", images::words(&error)));
        }
    };
    if let Err(error) = kubelet.docker.start_container(&created.id, None::<StartContainerOptions>).await {
        if unavailable(&error) {
            return Err(Problem::Engine);
        }
        return Err(Problem::Start(created.id, images::words(&error)));
    }
    // The one before stays for `logs --previous`, the one before that has nobody left to ask for it.
    if attempt >= 2 {
        let old = names::container(&options.cluster_id, &pod, &container.name, attempt - 2);
        let docker = kubelet.docker.clone();
        context.tracker.spawn(async move { cleanup::remove(&docker, &old).await });
    }
    Ok(created.id)
}
