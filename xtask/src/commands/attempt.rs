//! One attempt at a release: recorded as begun, carried out, and recorded as what became of it.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::session::Session;
use crate::{
    apply::{self, Applied},
    cluster::Connection,
    config::Unit,
    error::{Error, Kind, Result},
    hooks::{self, Hooks, Phase},
    plan::Plan,
    release::{Draft, Ledger, Outcome as Fate},
    rollout, secrets,
    ui::{Done, Outcome, Step},
    verify,
};

/// A release that runs and has answered.
#[derive(Debug)]
pub(super) struct Released {
    /// Its number.
    pub(super) number: u64,
    /// The address that answered.
    pub(super) url: String,
    /// Whether it is a new one; otherwise nothing was changed.
    pub(super) new: bool,
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Its number, if it was recorded at all: then something may have been changed.
    pub(super) number: Option<u64>,
    /// Why.
    pub(super) error: Error,
}

/// What an attempt is to bring about.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    /// What is recorded of it.
    pub(super) draft: &'a Draft,
    /// What is changed.
    pub(super) plan: &'a Plan,
    /// What runs before and after.
    pub(super) hooks: &'a Hooks,
}

/// Makes the cluster what the plan says and records it, also when it fails or is interrupted.
pub(super) async fn attempt(
    session: &Session<'_>,
    unit: Unit<'_>,
    ledger: &Ledger,
    goal: Goal<'_>,
    report: &mut Map<String, Value>,
) -> Result<Released, Failure> {
    let unrecorded = |error| Failure { number: None, error };
    let cluster = session.locked().await.map_err(unrecorded)?;
    session.guard(unit, session.check(unit)).await.map_err(unrecorded)?;
    let fetched = session.guard(unit, fetch(session, unit, goal.plan)).await.map_err(unrecorded)?;
    let goal = Goal { plan: fetched.as_ref().unwrap_or(goal.plan), ..goal };
    let began = Instant::now();
    // A signal waits for this: a record that nobody knows of would have to be found by the next command.
    let begun = ledger.begin(goal.draft, &session.holder).await.map_err(unrecorded)?;
    let number = begun.number;
    report.insert("release".into(), json!({"number": number, "kind": goal.draft.kind}));
    let result = session.guard(unit, carry_out(session, unit, cluster, goal)).await;
    let fate = match &result {
        Ok(_) => Fate::Succeeded,
        Err(error) if error.kind == Kind::Interrupted => Fate::Interrupted,
        Err(_) => Fate::Failed,
    };
    let ended = ledger.end(begun, fate, began.elapsed().as_secs_f64(), result.as_ref().err()).await;
    let failure = |error| Failure { number: Some(number), error };
    match (result, ended) {
        (Ok(url), Ok(())) => {
            if let Err(error) = ledger.prune().await {
                session.printer.warning(format!("old records were left: {error}"));
            }
            Ok(Released { number, url, new: true })
        }
        (Err(error), Ok(())) => Err(failure(error)),
        (Ok(_), Err(error)) => Err(failure(error)),
        (Err(error), Err(unsaid)) => Err(failure(error.cause(format!("what became of it is not recorded: {unsaid}")))),
    }
}

/// The plan with the values of Secrets that AWS keeps, if any is not in the cluster yet.
async fn fetch(session: &Session<'_>, unit: Unit<'_>, plan: &Plan) -> Result<Option<Plan>> {
    if !secrets::are_missing(plan) {
        return Ok(None);
    }
    session.printer.step("secrets").run(async |step| secrets::fetch(unit, plan, step).await).await.map(Some)
}

/// Before each stage that changes something the lock is looked at.
async fn carry_out(session: &Session<'_>, unit: Unit<'_>, cluster: &Connection, goal: Goal<'_>) -> Result<String> {
    let Goal { plan, hooks, .. } = goal;
    if hooks.has(Phase::PreDeploy) {
        // What a hook reads and runs as is there before it, and no workload has changed yet.
        let prepare = async |step: &Step| applied(apply::prepare(&cluster.client, plan, step).await?);
        let prepared = session.printer.step("prepare").run(prepare).await?;
        run_hooks(session, unit, cluster, Phase::PreDeploy, hooks).await?;
        session.check(unit).await?;
        let finish = async |step: &Step| applied(apply::finish(&cluster.client, plan, prepared, step).await?);
        session.printer.step("apply").run(finish).await?;
    } else {
        let apply = async |step: &Step| applied(apply::apply(&cluster.client, plan, step).await?);
        session.printer.step("apply").run(apply).await?;
    }
    session.printer.step("rollout").run(async |step| roll_out(unit, cluster, plan, step).await).await?;
    if hooks.has(Phase::PostDeploy) {
        session.check(unit).await?;
        run_hooks(session, unit, cluster, Phase::PostDeploy, hooks).await?;
    }
    let url = session.printer.step("verify").run(async |step| check(unit, cluster, step).await).await?;
    if plan.deletes() {
        session.check(unit).await?;
        session.printer.step("prune").run(async |step| prune(unit, cluster, plan, step).await).await?;
    }
    Ok(url)
}

/// Waits for everything that the manifests hold, also for what did not change: it may not run.
pub(super) async fn confirm(
    session: &Session<'_>,
    unit: Unit<'_>,
    cluster: &Connection,
    plan: &Plan,
) -> Result<String> {
    session.printer.step("rollout").run(async |step| roll_out(unit, cluster, plan, step).await).await?;
    session.printer.step("verify").run(async |step| check(unit, cluster, step).await).await
}

fn applied(applied: Applied) -> Result<Done<Applied>> {
    let outcome = if applied.changed.is_empty() { Outcome::Same } else { Outcome::Changed };
    Ok(Done::new(outcome, format!("{} objects applied", applied.changed.len()), applied))
}

async fn run_hooks(
    session: &Session<'_>,
    unit: Unit<'_>,
    cluster: &Connection,
    phase: Phase,
    hooks: &Hooks,
) -> Result<()> {
    let run = async |step: &Step| {
        let summary = hooks::run(&cluster.client, unit, phase, hooks, step).await?;
        Ok(Done::new(Outcome::Changed, summary, ()))
    };
    session.printer.step(phase.to_string()).run(run).await
}

/// Deletes what left the manifests, now that what took its place has proved itself.
async fn prune(unit: Unit<'_>, cluster: &Connection, plan: &Plan, step: &Step) -> Result<Done<()>> {
    let timeout = unit.environment.rollout.timeout;
    let deleted = apply::prune(&cluster.client, plan, timeout, step).await?.objects;
    Ok(Done::new(Outcome::Changed, format!("{} deleted", deleted.len()), ()))
}

async fn roll_out(unit: Unit<'_>, cluster: &Connection, plan: &Plan, step: &Step) -> Result<Done<()>> {
    let summary = rollout::wait(&cluster.client, unit, &plan.objects(), step).await?;
    Ok(Done::new(Outcome::Ok, summary, ()))
}

async fn check(unit: Unit<'_>, cluster: &Connection, step: &Step) -> Result<Done<String>> {
    let verified = verify::verify(&cluster.client, unit, step).await?;
    Ok(Done::new(Outcome::Ok, verified.to_string(), verified.url))
}
