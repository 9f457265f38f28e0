//! Waiting until what was applied runs, and saying why it does not.
//!
//! The cluster is watched, not asked again and again; what is concluded from each state of it are pure functions
//! ([`readiness`], `pods`). A rollout that cannot succeed fails before its deadline, with what a person needs to know.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::Client;

use crate::{
    config::Unit,
    error::{Error, Kind, Result},
    plan::ObjectRef,
    ui::Step,
};

mod cause;
mod diagnosis;
mod events;
mod fate;
mod pods;
pub mod readiness;
mod scrub;
mod snapshot;
mod state;

pub use cause::Cause;
pub use diagnosis::Diagnosis;
use pods::Doom;
pub(crate) use scrub::given;
use snapshot::Snapshot;
use state::State;

/// How long the watch of pods may lag behind that of the Job which has already counted them as failed.
const LAG: Duration = Duration::from_secs(2);

/// How often time alone is looked at: deadlines, and how long a pod has found no node.
const TICK: Duration = Duration::from_millis(500);

/// How often the events are read, of namespaces in which something waits.
const EVENTS: Duration = Duration::from_secs(5);

/// Waits until all of these objects are what was asked for.
///
/// # Errors
/// One of them will not get there ([`crate::error::Kind::Failed`]), or has not at the environment's deadline
/// ([`crate::error::Kind::TimedOut`]); with its pod, container, reason, exit code, last lines and events.
pub async fn wait(client: &Client, unit: Unit<'_>, objects: &[ObjectRef], step: &Step) -> Result<String> {
    wait_for(client, unit, objects, ("rollout of", unit.environment.rollout.timeout), step).await
}

/// The same with a deadline of its own, and with other words for what is being done.
pub(crate) async fn wait_for(
    client: &Client,
    unit: Unit<'_>,
    objects: &[ObjectRef],
    (doing, timeout): (&str, Duration),
    step: &Step,
) -> Result<String> {
    let deadline = Instant::now() + timeout;
    let (mut snapshot, mut events) = snapshot::watch(client, objects).await?;
    let mut ticks = tokio::time::interval(TICK);
    let mut looked = Instant::now();
    let mut unexplained = None;
    loop {
        if snapshot.is_complete() {
            let mut state = State::of(&snapshot, objects, Timestamp::now());
            // The end is told by the stage's row.
            if state.waiting.is_empty() && state.doomed.is_none() {
                return Ok(state.progress);
            }
            step.progress(&state.progress);
            if state.doomed.is_none() && looked.elapsed() >= EVENTS {
                state.doomed = by_events(client, &snapshot, &state.waiting).await;
                looked = Instant::now();
            }
            let lags = state.doomed.as_ref().is_some_and(|(object, doom)| object.kind == "Job" && doom.pod.is_none())
                && unexplained.get_or_insert_with(Instant::now).elapsed() < LAG
                && Instant::now() < deadline;
            if let Some((object, doom)) = state.doomed.filter(|_| !lags) {
                return Err(diagnosis::explain(client, unit, &snapshot, (doing, &object), doom).await);
            }
            if Instant::now() >= deadline {
                return Err(timed_out(client, unit, &snapshot, state.waiting, (doing, timeout)).await);
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

/// What is lost among what waits, if only events say so.
async fn by_events(client: &Client, snapshot: &Snapshot, waiting: &[(ObjectRef, String)]) -> Option<(ObjectRef, Doom)> {
    let workloads = || waiting.iter().filter(|(object, _)| state::is_workload(&object.kind));
    let namespaces: BTreeSet<&str> = workloads().filter_map(|(object, _)| object.namespace.as_deref()).collect();
    for namespace in namespaces {
        let events = events::warnings(client, namespace).await;
        for (object, _) in workloads().filter(|(object, _)| object.namespace.as_deref() == Some(namespace)) {
            let Some(live) = snapshot.get(object) else { continue };
            let pods = pods::of(snapshot, live);
            if let Some(doom) = events::doom(live, &pods, &events, Timestamp::now(), true) {
                return Some((object.clone(), doom));
            }
        }
    }
    None
}

/// The error for what is not ready at the deadline; explained by the first workload among it.
async fn timed_out(
    client: &Client,
    unit: Unit<'_>,
    snapshot: &Snapshot,
    waiting: Vec<(ObjectRef, String)>,
    (doing, timeout): (&str, Duration),
) -> Error {
    let suspect = waiting.iter().find_map(|(object, _)| {
        let live = snapshot.get(object)?;
        Some((object, pods::suspect(&pods::of(snapshot, live))?))
    });
    let (object, doom) = suspect.unwrap_or_else(|| {
        let (object, what) = &waiting[0];
        let pending = object.kind == "PersistentVolumeClaim";
        let cause = if pending { Cause::ClaimPending } else { Cause::Other };
        (object, Doom::new(cause, format!("it still waits for {what}")))
    });
    let mut error = diagnosis::explain(client, unit, snapshot, (doing, object), doom).await;
    error.kind = Kind::TimedOut;
    error.message.push_str(&format!(" after {} s", timeout.as_secs()));
    error
}

#[cfg(test)]
mod tests;
