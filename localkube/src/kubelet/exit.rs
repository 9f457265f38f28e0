//! How a container ended, whether it is started again, and when.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{models::ContainerInspectResponse, query_parameters::LogsOptions};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerStateTerminated, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use tokio::time::sleep;

use super::{
    Kubelet,
    container::{Kind, Runner},
    events::{Severity, seconds},
    names, volumes,
};

/// The first pause after a container has ended twice, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// A container that ran this long is forgiven: twice the longest pause.
const FORGIVEN: Duration = Duration::from_secs(600);
/// What is read of a termination message, in bytes.
const MESSAGE: usize = 4096;
/// What is shown of a log in its place: lines and bytes.
const LOG: (usize, usize) = (80, 2048);

/// The pause before a container is started again: none the first time, then doubling.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    last: Option<(Timestamp, Duration)>,
}

impl BackOff {
    /// The pause that is left after an end at `finished`.
    fn next(&mut self, finished: Timestamp) -> Option<(Duration, Duration)> {
        let before = self.last.filter(|(at, _)| finished.duration_since(*at).unsigned_abs() <= FORGIVEN);
        let next = before.map_or(BACK_OFF.0, |(_, pause)| (pause * 2).min(BACK_OFF.1));
        self.last = Some((finished, next));
        let (_, pause) = before?;
        let gone = Timestamp::now().duration_since(finished);
        let left = if gone.is_negative() { pause } else { pause.saturating_sub(gone.unsigned_abs()) };
        (!left.is_zero()).then_some((pause, left))
    }

    /// Waits until the container may be started again.
    pub(super) async fn wait(&mut self, runner: &Runner, ended: &ContainerStateTerminated) {
        let finished = ended.finished_at.as_ref().map_or_else(Timestamp::now, |time| time.0);
        let Some((pause, left)) = self.next(finished) else { return };
        let pod = runner.context.pod();
        let name = &runner.container.name;
        let full = names::full(&pod);
        let message = format!("back-off {} restarting failed container={name} pod={full}", spell(pause));
        runner.view(|view| view.wait("CrashLoopBackOff", Some(message)));
        runner.event(
            Severity::Warning,
            "BackOff",
            format!("Back-off restarting failed container {name} in pod {full}"),
        );
        sleep(left).await;
    }
}

/// As Go writes a duration of whole seconds: `10s`, `1m20s`, `5m0s`.
pub(super) fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

/// Whether the container is started again.
pub(super) fn restarts(runner: &Runner, ended: &ContainerStateTerminated) -> bool {
    let pod = runner.context.pod();
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.clone());
    match (runner.kind, policy.as_deref().unwrap_or("Always")) {
        (Kind::Sidecar, _) | (Kind::Main, "Always") => true,
        (_, "Never") => false,
        _ => ended.exit_code != 0,
    }
}

/// An end that the engine reported before there was a process.
pub(super) fn not_started(id: &str, message: String) -> ContainerStateTerminated {
    let now = Some(Time(seconds(Timestamp::now())));
    ContainerStateTerminated {
        container_id: Some(format!("docker://{id}")),
        exit_code: 128,
        reason: Some("StartError".to_owned()),
        message: Some(message),
        started_at: Some(Time(Timestamp::UNIX_EPOCH)),
        finished_at: now,
        ..Default::default()
    }
}

/// When a container was started.
pub(super) fn started_at(found: &ContainerInspectResponse) -> Option<Timestamp> {
    found.state.as_ref()?.started_at.as_ref()?.parse().ok()
}

/// What is known of a container that has ended; one that the engine no longer has was removed by somebody else.
pub(super) async fn describe(
    runner: &Runner,
    id: &str,
    found: Option<&ContainerInspectResponse>,
) -> ContainerStateTerminated {
    let attempt = runner.context.view.borrow().containers.get(&runner.container.name).map_or(0, |view| view.restarts);
    describe_in(&runner.context.kubelet, &runner.context.pod(), &runner.container, attempt, id, found).await
}

/// The same, outside a container's own work.
pub(super) async fn describe_in(
    kubelet: &Kubelet,
    pod: &Pod,
    container: &Container,
    attempt: i32,
    id: &str,
    found: Option<&ContainerInspectResponse>,
) -> ContainerStateTerminated {
    let Some(state) = found.and_then(|found| found.state.as_ref()) else {
        return ContainerStateTerminated {
            container_id: Some(format!("docker://{id}")),
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some("The container could not be located when the pod was terminated".to_owned()),
            finished_at: Some(Time(seconds(Timestamp::now()))),
            ..Default::default()
        };
    };
    let time = |text: Option<&String>| text.and_then(|text| text.parse::<Timestamp>().ok()).map(|at| Time(seconds(at)));
    let exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    let reason = match exit_code {
        _ if state.oom_killed == Some(true) => "OOMKilled",
        0 => "Completed",
        _ => "Error",
    };
    let mut message = read_message(&message_path(kubelet, pod, container, attempt));
    let fall_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if message.is_none() && fall_back && exit_code != 0 {
        message = last_lines(kubelet, id).await;
    }
    ContainerStateTerminated {
        container_id: Some(format!("docker://{id}")),
        exit_code,
        reason: Some(reason.to_owned()),
        message,
        started_at: time(state.started_at.as_ref()),
        finished_at: time(state.finished_at.as_ref()),
        ..Default::default()
    }
}

fn message_path(kubelet: &Kubelet, pod: &Pod, container: &Container, attempt: i32) -> PathBuf {
    volumes::directory(kubelet, names::uid(pod)).join("containers").join(&container.name).join(attempt.to_string())
}

/// Makes the file that a container's user, whoever it is, may write its last words to.
pub(super) fn message_file(kubelet: &Kubelet, pod: &Pod, container: &Container, attempt: i32) -> io::Result<PathBuf> {
    let path = message_path(kubelet, pod, container, attempt);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, [])?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

fn read_message(path: &Path) -> Option<String> {
    let mut data = fs::read(path).ok()?;
    data.truncate(MESSAGE);
    (!data.is_empty()).then(|| String::from_utf8_lossy(&data).into_owned())
}

async fn last_lines(kubelet: &Kubelet, id: &str) -> Option<String> {
    let options = LogsOptions { stdout: true, stderr: true, tail: LOG.0.to_string(), ..Default::default() };
    let mut lines = Box::pin(kubelet.docker.logs(id, Some(options)));
    let mut text = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        text.extend_from_slice(line.as_ref());
    }
    let text = &text[text.len().saturating_sub(LOG.1)..];
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_from_the_second_end_on() {
        let mut back_off = BackOff::default();
        let now = Timestamp::now();
        assert_eq!(back_off.next(now), None, "the first restart is at once");
        let pauses: Vec<u64> = (0..7).filter_map(|_| back_off.next(now)).map(|(pause, _)| pause.as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        let later = now.checked_add(jiff::SignedDuration::from_secs(601)).unwrap();
        assert_eq!(back_off.next(later), None, "forgiven");
    }

    #[test]
    fn spells_durations_as_go_does() {
        let spelt = [10, 80, 300].map(|seconds| spell(Duration::from_secs(seconds)));
        assert_eq!(spelt, ["10s", "1m20s", "5m0s"]);
    }
}
