//! A running container: its probes, what they lead to, and waiting for its end.

use k8s_openapi::api::core::v1::Probe;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    container::{Runner, Running},
    events::Severity,
    hooks,
    probes::{self, Failure, Finding},
};

/// Which question a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Startup,
    Readiness,
    Liveness,
}

impl Question {
    fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Watches over the container until it has ended.
pub(super) async fn until_end(runner: &mut Runner, running: &Running) {
    let container = runner.container.clone();
    let (sender, mut findings) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let target = runner.target(&running.id);
    let mut ask = |question: Question, probe: &Probe, since: Instant| {
        let (probe, target, sender) = (probe.clone(), target.clone(), sender.clone());
        tasks.spawn(async move {
            probes::run(&probe, &target, since, |finding| {
                let go_on = !(question == Question::Startup && matches!(finding, Finding::Passes));
                sender.send((question, finding)).is_ok() && go_on
            })
            .await;
        });
    };
    match &container.startup_probe {
        Some(probe) if !running.adopted => ask(Question::Startup, probe, running.since),
        _ => started(runner, running, &mut ask),
    }
    let exits = std::sync::Arc::clone(&runner.context.kubelet);
    let ended = exits.exits.wait(&running.id);
    tokio::pin!(ended);
    let mut latest = runner.context.latest.clone();
    loop {
        tokio::select! {
            _ = &mut ended => return,
            _ = latest.changed() => if runner.take_image() {
                let name = &container.name;
                runner.event(Severity::Normal, "Killing", format!("Container {name} definition changed, will be restarted"));
                hooks::stop(runner, &running.id, None).await;
            },
            Some((question, finding)) = findings.recv() => match (question, finding) {
                (_, Finding::Failed(failure)) => unhealthy(runner, question, &failure),
                (Question::Startup, Finding::Passes) => started(runner, running, &mut ask),
                (Question::Readiness, Finding::Passes) => runner.view(|view| view.ready = true),
                (Question::Readiness, Finding::Fails(_)) => runner.view(|view| view.ready = false),
                (Question::Liveness, Finding::Passes) => {}
                (Question::Startup | Question::Liveness, Finding::Fails(_)) => {
                    let kind = question.name().to_lowercase();
                    let message = format!("Container {} failed {kind} probe, will be restarted", container.name);
                    runner.event(Severity::Normal, "Killing", message);
                    runner.view(|view| view.ready = false);
                    let probe = if question == Question::Startup { &container.startup_probe } else { &container.liveness_probe };
                    hooks::stop(runner, &running.id, probe.as_ref()).await;
                }
            },
        }
    }
}

/// The container is up: it is ready unless a probe has to say so first.
fn started(runner: &Runner, running: &Running, ask: &mut impl FnMut(Question, &Probe, Instant)) {
    let container = &runner.container;
    runner.view(|view| {
        view.started = true;
        view.ready = container.readiness_probe.is_none() || running.adopted;
    });
    // With a startup probe, the others' delays count from its success (as the kubelet's do in effect: it holds them
    // back until then).
    if let Some(probe) = &container.readiness_probe {
        ask(Question::Readiness, probe, running.since);
    }
    if let Some(probe) = &container.liveness_probe {
        ask(Question::Liveness, probe, running.since);
    }
}

fn unhealthy(runner: &Runner, question: Question, failure: &Failure) {
    let message = format!("{} probe failed: {}", question.name(), failure.message);
    runner.event(Severity::Warning, "Unhealthy", message);
}
