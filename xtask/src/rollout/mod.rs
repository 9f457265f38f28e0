//! Waiting until what was applied runs, and saying why it does not.
//!
//! The cluster is watched, not asked again and again; what is concluded from each state of it are pure functions
//! ([`readiness`], `pods`). A rollout that cannot succeed fails before its deadline, with what a person needs to know.

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use crate::{
    config::Environment,
    error::{Error, Result},
    plan::ObjectRef,
    ui::Step,
};

mod diagnosis;
mod pods;
pub mod readiness;
mod snapshot;

use pods::Doom;
use readiness::Readiness;
use snapshot::Snapshot;

/// How often time alone is looked at: deadlines, and how long a pod has found no node.
const TICK: Duration = Duration::from_millis(500);

/// Waits until all of these objects are what was asked for.
///
/// # Errors
/// One of them will not get there ([`crate::error::Kind::Failed`]), or has not at the environment's deadline
/// ([`crate::error::Kind::TimedOut`]); with its pod, container, reason, exit code, last lines and events.
pub async fn wait(client: &Client, environment: &Environment, objects: &[ObjectRef], step: &Step) -> Result<String> {
    let timeout = environment.rollout.timeout;
    let deadline = Instant::now() + timeout;
    let (mut snapshot, mut events) = snapshot::watch(client, objects).await?;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        if snapshot.is_complete() {
            let state = State::of(&snapshot, objects, Timestamp::now());
            // The end is told by the stage's row.
            if state.waiting.is_empty() && state.doomed.is_none() {
                return Ok(state.progress);
            }
            step.progress(&state.progress);
            if let Some((object, doom)) = state.doomed {
                return Err(diagnosis::explain(client, environment, &snapshot, &object, doom).await);
            }
            if Instant::now() >= deadline {
                return Err(timed_out(client, environment, &snapshot, state.waiting, timeout).await);
            }
        } else if Instant::now() >= deadline {
            let message =
                format!("watch the rollout: the cluster has not listed its objects in {} s", timeout.as_secs());
            return Err(Error::timed_out(message).hint("is the cluster there? cargo xtask status"));
        }
        tokio::select! {
            Some(event) = events.next() => {
                snapshot.update(event);
                // What came at once is judged at once.
                while let Some(Some(event)) = events.next().now_or_never() {
                    snapshot.update(event);
                }
            }
            _ = ticks.tick() => {}
        }
    }
}

/// What is to be said about a state of the cluster.
#[derive(Debug)]
struct State {
    /// What is not there yet, and what it waits for.
    waiting: Vec<(ObjectRef, String)>,
    /// What will not be.
    doomed: Option<(ObjectRef, Doom)>,
    /// Both in a few words.
    progress: String,
}

impl State {
    fn of(snapshot: &Snapshot, objects: &[ObjectRef], now: Timestamp) -> Self {
        let mut state = Self { waiting: Vec::new(), doomed: None, progress: String::new() };
        let mut phrases = Vec::new();
        for object in objects.iter().filter(|object| readiness::has_rules(object.group(), &object.kind)) {
            let Some(live) = snapshot.get(object) else {
                state.waiting.push((object.clone(), "it to be there".to_owned()));
                continue;
            };
            let workload = matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "Pod");
            let pods = workload.then(|| pods::of(snapshot, live));
            let readiness = judge(snapshot, object, live);
            if let (Some(pods), "Deployment") = (&pods, object.kind.as_str()) {
                phrases.push(phrase(live, pods, readiness == Readiness::Ready));
            }
            match readiness {
                Readiness::Ready => {}
                Readiness::Failed(why) => {
                    let suspect = pods.as_ref().and_then(|pods| pods::suspect(pods));
                    let doom = suspect.unwrap_or(Doom {
                        cause: pods::Cause::Other,
                        sentence: why,
                        pod: None,
                        container: None,
                    });
                    state.doomed.get_or_insert((object.clone(), doom));
                }
                Readiness::Waiting(what) => {
                    if let Some(doom) = pods.as_ref().and_then(|pods| pods::doom(live, pods, now)) {
                        state.doomed.get_or_insert((object.clone(), doom));
                    }
                    state.waiting.push((object.clone(), what));
                }
            }
        }
        let others = state.waiting.iter().filter(|(object, _)| object.kind != "Deployment");
        phrases.extend(others.map(|(object, what)| format!("{object} waits for {what}")).take(2));
        if phrases.is_empty() {
            phrases.push("nothing to wait for".to_owned());
        }
        state.progress = phrases.join("; ");
        state
    }
}

fn judge(snapshot: &Snapshot, object: &ObjectRef, live: &Value) -> Readiness {
    if object.group() != "autoscaling" {
        return readiness::of(live);
    }
    let target = &live["spec"]["scaleTargetRef"];
    let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
    let target = ObjectRef {
        api_version: text("apiVersion"),
        kind: text("kind"),
        namespace: object.namespace.clone(),
        name: text("name"),
    };
    readiness::autoscaler(live, snapshot.get(&target))
}

/// `1 of 3 new pods ready, 3 old ones still serve`
fn phrase(deployment: &Value, pods: &pods::Pods<'_>, done: bool) -> String {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    if done {
        return format!("{wanted} of {wanted} pods new and available");
    }
    let ready = pods.new.iter().filter(|pod| pods::is_ready(pod)).count();
    let old = match pods.old_ready {
        0 => String::new(),
        1 => ", 1 old one still serves".to_owned(),
        old => format!(", {old} old ones still serve"),
    };
    format!("{ready} of {wanted} new pods ready{old}")
}

/// The error for what is not ready at the deadline; explained by the first workload among it.
async fn timed_out(
    client: &Client,
    environment: &Environment,
    snapshot: &Snapshot,
    waiting: Vec<(ObjectRef, String)>,
    timeout: Duration,
) -> Error {
    let suspect = waiting.iter().find_map(|(object, _)| {
        let live = snapshot.get(object)?;
        Some((object, pods::suspect(&pods::of(snapshot, live))?))
    });
    let seconds = timeout.as_secs();
    let mut error = match suspect {
        Some((object, doom)) => diagnosis::explain(client, environment, snapshot, object, doom).await,
        None => {
            let (object, what) = &waiting[0];
            Error::failed(format!("rollout of {object}: it still waits for {what}"))
                .hint(format!("look at {object}: kubectl describe, or cargo xtask status --env {}", environment.name))
        }
    };
    error.kind = crate::error::Kind::TimedOut;
    error.message.push_str(&format!(" after {seconds} s"));
    error
}

#[cfg(test)]
mod tests;
