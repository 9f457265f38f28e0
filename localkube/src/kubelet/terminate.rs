//! The way out: containers are asked to stop, then made to; what they leave is removed, and the API server is told.

use std::{sync::Arc, time::Duration};

use bollard::query_parameters::ListContainersOptions;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, ContainerState, Pod};
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    cleanup,
    container::Kind,
    events::Severity,
    exit, hooks, names,
    pod::{Latest, PodContext},
    probes::Target,
    status, volumes,
};

/// Between two tries to tell the API server.
const RETRY: Duration = Duration::from_secs(1);
/// How long a leaving pod waits at most for connections to stop being sent to it.
const LEAVE: Duration = Duration::from_secs(1);

/// A container that may still run.
struct Member {
    id: String,
    attempt: i32,
    running: bool,
    kind: Kind,
    container: Container,
}

/// Ends the pod and removes everything of it; `ended` when its containers have ended long ago.
pub(super) async fn run(context: &Arc<PodContext>, ended: bool) {
    // What is being made now is removed below, not missed.
    context.settle().await;
    let members = members(context).await;
    let (sender, deadline) = watch::channel(Instant::now() + grace(&context.latest.borrow()));
    let follow = follow(context, &sender);
    let work = async {
        stop(context, &members, &deadline).await;
        finish(context, &members).await;
    };
    tokio::select! {
        () = work => {}
        () = follow => {}
    }
    if !ended {
        context.update(|view| {
            view.over = true;
            view.sandbox = false;
            view.containers.values_mut().for_each(|container| container.ready = false);
        });
        // Who deleted the pod may want to know how it ended: the object goes after its last status.
        while let Err(error) = context.publish().await {
            if matches!(&error, kube::Error::Api(status) if status.code == 404 || status.code == 409) {
                break;
            }
            sleep(RETRY).await;
        }
    }
    remove(context).await;
    let pod = context.pod();
    loop {
        if context.latest.borrow().gone {
            return;
        }
        match delete(context, &pod).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, pod = names::full(&pod), "the pod was not deleted");
                sleep(RETRY).await;
            }
        }
    }
}

fn grace(latest: &Latest) -> Duration {
    let seconds = latest.pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
    if latest.gone { Duration::ZERO } else { Duration::from_secs(u64::try_from(seconds).unwrap_or_default()) }
}

/// The deadline only ever comes nearer: by a deletion with a shorter grace, or one with none.
async fn follow(context: &PodContext, deadline: &watch::Sender<Instant>) {
    let mut latest = context.latest.clone();
    loop {
        let nearer = Instant::now() + grace(&latest.borrow_and_update());
        deadline.send_if_modified(|at| {
            let change = nearer < *at;
            *at = nearer.min(*at);
            change
        });
        if latest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn members(context: &PodContext) -> Vec<Member> {
    let pod = context.pod();
    let kubelet = &context.kubelet;
    let filters = names::filter(&[
        (names::CLUSTER, &kubelet.options.cluster_id),
        (names::POD_UID, names::uid(&pod)),
        (names::ROLE, names::ROLE_CONTAINER),
    ]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let list = loop {
        match kubelet.docker.list_containers(Some(options.clone())).await {
            Ok(list) => break list,
            Err(_) => sleep(RETRY).await,
        }
    };
    let mut members: Vec<Member> = Vec::new();
    for summary in list {
        let labels = summary.labels.unwrap_or_default();
        let name = labels.get(names::CONTAINER).map(String::as_str).unwrap_or_default();
        let Some((kind, container)) = spec_of(&pod, name) else { continue };
        members.push(Member {
            id: summary.id.unwrap_or_default(),
            attempt: labels.get(names::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or_default(),
            running: summary.state.is_some_and(|state| state.to_string() == "running"),
            kind,
            container,
        });
    }
    members
}

fn spec_of(pod: &Pod, name: &str) -> Option<(Kind, Container)> {
    let spec = pod.spec.as_ref()?;
    let main = spec.containers.iter().find(|container| container.name == name);
    main.map(|container| (Kind::Main, container.clone())).or_else(|| {
        let init = spec.init_containers.iter().flatten().find(|container| container.name == name)?;
        Some((if status::is_sidecar(init) { Kind::Sidecar } else { Kind::Init }, init.clone()))
    })
}

/// Main and init containers together; sidecars after them, the last one first.
async fn stop(context: &PodContext, members: &[Member], deadline: &watch::Receiver<Instant>) {
    let ip = context.view.borrow().ip.clone().unwrap_or_default();
    // A request that is sent here after the signal would be lost: the way to this pod is closed first.
    if members.iter().any(|member| member.running)
        && let Ok(address) = ip.parse()
    {
        let left = context.kubelet.options.traffic.left(address);
        let _ = timeout(LEAVE, left).await;
    }
    let order = |member: &Member| {
        let pod = context.pod();
        let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.clone()).unwrap_or_default();
        init.iter().position(|container| container.name == member.container.name)
    };
    let (sidecars, rest): (Vec<&Member>, Vec<&Member>) =
        members.iter().filter(|member| member.running).partition(|member| member.kind == Kind::Sidecar);
    join_all(rest.into_iter().map(|member| stop_one(context, member, &ip, deadline))).await;
    let mut sidecars = sidecars;
    sidecars.sort_by_key(|member| std::cmp::Reverse(order(member)));
    for member in sidecars {
        stop_one(context, member, &ip, deadline).await;
    }
}

async fn stop_one(context: &PodContext, member: &Member, ip: &str, deadline: &watch::Receiver<Instant>) {
    let name = &member.container.name;
    context.container_event(
        &member.container,
        member.kind,
        Severity::Normal,
        "Killing",
        format!("Stopping container {name}"),
    );
    let target = Target {
        docker: context.kubelet.docker.clone(),
        id: member.id.clone(),
        ip: ip.to_owned(),
        container: member.container.clone(),
    };
    hooks::stop_until(&context.kubelet, &member.container, &target, deadline.clone()).await;
}

/// Records how each container ended.
async fn finish(context: &PodContext, members: &[Member]) {
    let kubelet = &context.kubelet;
    let pod = context.pod();
    for member in members {
        let name = &member.container.name;
        if members.iter().any(|other| other.container.name == *name && other.attempt > member.attempt) {
            continue;
        }
        let found = cleanup::inspect(&kubelet.docker, &member.id).await;
        let ended =
            exit::describe_in(kubelet, &pod, &member.container, member.attempt, &member.id, found.as_ref()).await;
        context.update_container(name, |view| {
            view.id = Some(format!("docker://{}", member.id));
            view.restarts = member.attempt;
            view.ready = false;
            view.started = false;
            view.state = ContainerState { terminated: Some(ended), ..Default::default() };
        });
    }
}

/// What goes on in a pod that is over: sidecars, containers past its deadline, the sandbox. The containers stay, for
/// their logs.
pub(super) async fn stop_rest(context: &PodContext) {
    let grace = context.pod().spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
    context.settle().await;
    let members = members(context).await;
    let (_keep, deadline) = watch::channel(Instant::now() + grace);
    stop(context, &members, &deadline).await;
    let stopped: Vec<Member> = members.into_iter().filter(|member| member.running).collect();
    finish(context, &stopped).await;
    let sandbox = names::sandbox(&context.kubelet.options.cluster_id, &context.pod());
    cleanup::remove(&context.kubelet.docker, &sandbox).await;
}

async fn remove(context: &PodContext) {
    let kubelet = &context.kubelet;
    let pod = context.pod();
    let filters = names::filter(&[(names::CLUSTER, &kubelet.options.cluster_id), (names::POD_UID, names::uid(&pod))]);
    while let Err(error) = cleanup::containers(&kubelet.docker, filters.clone()).await {
        tracing::debug!(%error, pod = names::full(&pod), "the pod's containers were not removed");
        sleep(RETRY).await;
    }
    volumes::remove(kubelet, names::uid(&pod)).await;
}

async fn delete(context: &PodContext, pod: &Pod) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.kubelet.client.clone(), names::namespace(pod));
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
        ..Default::default()
    };
    api.delete(names::name(pod), &parameters).await.map(drop)
}
