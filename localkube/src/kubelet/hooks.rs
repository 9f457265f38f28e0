//! Lifecycle hooks, and stopping a container: preStop, the signal, the grace, SIGKILL.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Probe};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Kubelet, cleanup,
    container::Runner,
    probes::{self, Target},
};

/// How long a hook's request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// What a container has left for its signal when its hook took all the grace.
const LEAST: Duration = Duration::from_secs(2);

/// Runs the hook after a start.
///
/// # Errors
/// In the kubelet's words, when it fails; the container is then stopped.
pub(super) async fn post_start(runner: &Runner, id: &str) -> Result<(), String> {
    let lifecycle = runner.container.lifecycle.as_ref();
    let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()) else { return Ok(()) };
    handle(hook, &runner.target(id)).await.map_err(|message| format!("PostStartHook failed: {message}"))
}

/// # Errors
/// What went wrong, in a few words.
pub(super) async fn handle(hook: &LifecycleHandler, target: &Target) -> Result<(), String> {
    if let Some(action) = &hook.exec {
        return match probes::exec(target, action, None).await? {
            (0, _) => Ok(()),
            (code, output) => Err(format!("command exited with {code}: {output}")),
        };
    }
    if let Some(action) = &hook.http_get {
        return match probes::http(action, target, REQUEST).await {
            (_, Ok(200..=399)) => Ok(()),
            (url, Ok(status)) => Err(format!("Get \"{url}\": status {status}")),
            (url, Err(failure)) => Err(format!("Get \"{url}\": {}", failure.message)),
        };
    }
    if let Some(action) = &hook.sleep {
        sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or_default())).await;
    }
    Ok(())
}

/// Stops a container of a pod that goes on; `probe` is the one that asks for it, with perhaps a grace of its own.
pub(super) async fn stop(runner: &Runner, id: &str, probe: Option<&Probe>) {
    let pod = runner.context.pod();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let grace = probe.and_then(|probe| probe.termination_grace_period_seconds).or(of_pod).unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
    let (_keep, deadline) = watch::channel(Instant::now() + grace);
    stop_until(&runner.context.kubelet, &runner.container, &runner.target(id), deadline).await;
}

/// Runs the preStop hook, signals, and kills at the deadline, which may move; done when the container has ended.
pub(super) async fn stop_until(
    kubelet: &Kubelet,
    container: &Container,
    target: &Target,
    mut deadline: watch::Receiver<Instant>,
) {
    let lifecycle = container.lifecycle.as_ref();
    let ended = kubelet.exits.wait(&target.id);
    tokio::pin!(ended);
    if let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()) {
        tokio::select! {
            result = handle(hook, target) => if let Err(error) = result {
                tracing::warn!(error, container = container.name, "the preStop hook failed");
            },
            () = passed(&mut deadline) => {}
            _ = &mut ended => return,
        }
    }
    let graceful = *deadline.borrow() > Instant::now();
    if graceful || lifecycle.is_some_and(|lifecycle| lifecycle.pre_stop.is_some()) {
        let image_signal = cleanup::inspect(&kubelet.docker, &target.id).await;
        let image_signal = image_signal.and_then(|found| found.config).and_then(|config| config.stop_signal);
        let signal = lifecycle.and_then(|lifecycle| lifecycle.stop_signal.clone()).or(image_signal);
        let signal = signal.filter(|signal| !signal.is_empty()).unwrap_or_else(|| "SIGTERM".to_owned());
        let sent = kubelet.docker.kill_container(&target.id, Some(KillContainerOptions { signal })).await;
        if let Err(error) = sent {
            tracing::debug!(%error, container = container.name, "the stop signal was not sent");
        }
        let overrun = async {
            passed(&mut deadline).await;
            // The hook had its time; the process gets a little, too.
            if !graceful {
                sleep(LEAST).await;
            }
        };
        tokio::select! {
            () = overrun => {}
            _ = &mut ended => return,
        }
    }
    cleanup::kill(&kubelet.docker, &target.id).await;
    ended.await;
}

/// Waits until the deadline, wherever it moves to.
async fn passed(deadline: &mut watch::Receiver<Instant>) {
    loop {
        let at = *deadline.borrow_and_update();
        tokio::select! {
            () = sleep_until(at) => return,
            result = deadline.changed() => if result.is_err() {
                sleep_until(at).await;
                return;
            },
        }
    }
}
