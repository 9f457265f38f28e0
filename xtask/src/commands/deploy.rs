//! `deploy`: from source to a verified release.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{lock, preflight, release};
use crate::{
    apply,
    cli::{Deploy, Output},
    cluster::{self, Connection},
    config::Environment,
    error::{Error, Result},
    image::{engine, reference::Pinned},
    manifests,
    plan::{self, Plan},
    rollout,
    ui::{Done, Outcome, Printer, Step},
    verify,
};

/// Runs the whole pipeline and reports on it, also when a stage failed.
pub(super) async fn run(options: Deploy, printer: &Printer) -> Result<()> {
    let began = Instant::now();
    let mut report = Map::new();
    report.insert("environment".into(), options.target.env.clone().into());
    let result = pipeline(&options, printer, &mut report).await;
    let seconds = began.elapsed().as_secs_f64();
    if options.report.output == Output::Json {
        report.insert("released".into(), result.is_ok().into());
        report.insert("error".into(), result.as_ref().err().map_or(Value::Null, describe));
        report.insert("seconds".into(), json!((seconds * 1000.0).round() / 1000.0));
        report.insert("stages".into(), json!(printer.rows()));
        printer.json(&report);
    }
    let url = result?;
    printer.words(format!("\nreleased in {seconds:.1}s: {url}\nlogs: cargo xtask logs -f{}", flag(&options)));
    Ok(())
}

/// The stages; up to the plan nothing that runs is touched.
async fn pipeline(options: &Deploy, printer: &Printer, report: &mut Map<String, Value>) -> Result<String> {
    let root = super::root()?;
    let _lock = lock::take(&root, "deploy")?;
    let (environment, source) = preflight::pass(&root, &options.target.env, printer).await?;
    let docker = engine::connect().await?;
    let (built, cluster) = tokio::try_join!(
        printer.step("build").run(async |step| release::build(&docker, &environment, &source, step).await),
        printer.step("cluster").run(async |step| connect(&environment, step).await),
    )?;
    let pushed =
        printer.step("push").run(async |step| release::push(&docker, &environment, &built, step).await).await?;
    report.insert("cluster".into(), cluster.description.clone().into());
    report.insert("image".into(), json!({"reference": pushed.image.to_string(), "bytes": built.size}));

    let plan = printer
        .step("plan")
        .run(async |step| compare(&environment, &cluster, &pushed.image, options.force_conflicts, step).await)
        .await?;
    report.insert("changes".into(), json!(plan.changes));
    printer.step("apply").run(async |step| apply(&cluster, &plan, step).await).await?;
    printer.step("rollout").run(async |step| roll_out(&environment, &cluster, &plan, step).await).await?;
    let url = printer.step("verify").run(async |step| check(&environment, &cluster, step).await).await?;
    report.insert("url".into(), json!(url));
    Ok(url)
}

async fn connect(environment: &Environment, step: &Step) -> Result<Done<Connection>> {
    let connection = cluster::connect(environment, step).await?;
    Ok(Done::new(connection.outcome, connection.description.clone(), connection))
}

async fn compare(
    environment: &Environment,
    cluster: &Connection,
    image: &Pinned,
    force: bool,
    step: &Step,
) -> Result<Done<Plan>> {
    let objects = manifests::render(environment, Some(image))?;
    let plan = plan::plan(&cluster.client, environment, &objects, force, step).await?;
    plan.lines().into_iter().for_each(|line| step.detail(line));
    let outcome = if plan.is_empty() { Outcome::Same } else { Outcome::Ok };
    Ok(Done::new(outcome, plan.summary().to_string(), plan))
}

async fn apply(cluster: &Connection, plan: &Plan, step: &Step) -> Result<Done<()>> {
    let applied = apply::apply(&cluster.client, plan, step).await?;
    let outcome = if applied.changed.is_empty() { Outcome::Same } else { Outcome::Changed };
    Ok(Done::new(outcome, format!("{} objects applied", applied.changed.len()), ()))
}

/// Waits for everything that the manifests hold, also for what did not change: it may not run.
async fn roll_out(environment: &Environment, cluster: &Connection, plan: &Plan, step: &Step) -> Result<Done<()>> {
    let objects: Vec<_> = plan.changes.iter().map(|change| change.object.clone()).collect();
    let summary = rollout::wait(&cluster.client, environment, &objects, step).await?;
    Ok(Done::new(Outcome::Ok, summary, ()))
}

async fn check(environment: &Environment, cluster: &Connection, step: &Step) -> Result<Done<String>> {
    let verified = verify::verify(&cluster.client, environment, step).await?;
    Ok(Done::new(Outcome::Ok, verified.to_string(), verified.url))
}

fn describe(error: &Error) -> Value {
    json!({"message": error.message, "causes": error.causes, "hint": error.hint, "exit": error.exit_code()})
}

/// The option that names the environment, unless it is the default.
fn flag(options: &Deploy) -> String {
    match options.target.env.as_str() {
        "local" => String::new(),
        name => format!(" --env {name}"),
    }
}
