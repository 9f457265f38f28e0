//! Getting a container's image, with the pauses, events and states that people know from `kubectl describe`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    container::{Kind, Runner},
    credentials,
    events::Severity,
    images::{self, Image},
    names,
    sources::Sources,
};

/// The first pause after a failed pull, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// How long the error itself is shown before the pause is.
const SHOWN: Duration = Duration::from_secs(1);
/// Between two looks whether the engine has an image, or answers.
const LOOK: Duration = Duration::from_secs(2);

/// The container's image; waits, and says why, as long as there is none.
pub(super) async fn ensure(runner: &mut Runner) -> Image {
    let mut pause = BACK_OFF.0;
    loop {
        let name = runner.container.image.clone().unwrap_or_default();
        let (reason, message) = match attempt(runner, &name).await {
            Ok(image) => {
                let waiting = if runner.kind == Kind::Main { "ContainerCreating" } else { "PodInitializing" };
                runner.view(|view| {
                    if view.state.waiting.is_some() && view.id.is_none() {
                        view.wait(waiting, None);
                    }
                });
                return image;
            }
            Err(None) => {
                sleep(LOOK).await;
                continue;
            }
            Err(Some(problem)) => problem,
        };
        runner.event(Severity::Warning, "Failed", format!("Error: {reason}"));
        runner.view(|view| view.wait(reason, Some(message.clone())));
        if reason != "ErrImagePull" {
            changed_or(runner, LOOK * 5).await;
            continue;
        }
        let until = Instant::now() + pause;
        if !changed_or(runner, SHOWN).await {
            let waiting = format!("Back-off pulling image \"{name}\"");
            runner.event(Severity::Normal, "BackOff", waiting.clone());
            runner.event(Severity::Warning, "Failed", "Error: ImagePullBackOff");
            runner.view(|view| view.wait("ImagePullBackOff", Some(format!("{waiting}: ErrImagePull: {message}"))));
            changed_or(runner, until.saturating_duration_since(Instant::now())).await;
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// One try; `Err(None)` when the engine doesn't answer.
async fn attempt(runner: &Runner, name: &str) -> Result<Image, Option<(&'static str, String)>> {
    if !images::valid(name) {
        let message = format!(
            "Failed to apply default image tag \"{name}\": couldn't parse image name \"{name}\": invalid reference format"
        );
        runner.event(Severity::Warning, "InspectFailed", message.clone());
        return Err(Some(("InvalidImageName", message)));
    }
    let docker = &runner.context.kubelet.docker;
    let at = runner.context.kubelet.options.mirrors.name(name);
    let policy = runner.container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    if policy != "Always"
        && let Some(image) = images::find(docker, &at).await.map_err(|_| None)?
    {
        let message = format!("Container image \"{name}\" already present on machine and can be accessed by the pod");
        runner.event(Severity::Normal, "Pulled", message);
        return Ok(image);
    }
    if policy == "Never" {
        let message = format!("Container image \"{name}\" is not present with pull policy of Never");
        runner.event(Severity::Warning, "ErrImageNeverPull", message.clone());
        return Err(Some(("ErrImageNeverPull", message)));
    }
    runner.event(Severity::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let began = Instant::now();
    let pod = runner.context.pod();
    let mut sources = Sources::new(runner.context.kubelet.client.clone(), names::namespace(&pod));
    let (credentials, absent) = credentials::of(&pod, name, &mut sources).await;
    if !absent.is_empty() {
        let message = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            absent.join(", ")
        );
        runner.event(Severity::Warning, "FailedToRetrieveImagePullSecret", message);
    }
    match images::pull(docker, &at, credentials).await {
        Ok(image) => {
            let took = format!("{:.3}s", began.elapsed().as_secs_f64());
            let message = format!(
                "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {} bytes.",
                image.size
            );
            runner.event(Severity::Normal, "Pulled", message);
            Ok(image)
        }
        Err(error) => {
            let message = format!("failed to pull image \"{name}\": {error}");
            runner.event(Severity::Warning, "Failed", format!("Failed to pull image \"{name}\": {error}"));
            Err(Some(("ErrImagePull", message)))
        }
    }
}

/// Waits, at most until the pod names another image; true when it does.
async fn changed_or(runner: &mut Runner, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    let mut latest = runner.context.latest.clone();
    loop {
        if runner.take_image() {
            return true;
        }
        if tokio::time::timeout_at(until, latest.changed()).await.is_err() {
            return false;
        }
    }
}
