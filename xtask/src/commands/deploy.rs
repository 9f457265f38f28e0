//! `deploy`: from source to a verified release.

use std::{collections::BTreeMap, time::Instant};

use futures::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    attempt::Released,
    interrupt::Interrupt,
    lock,
    pipeline::{self, Shared},
    preflight, rehearsal,
    session::Session,
};
use crate::{
    cli::{Deploy, Output},
    config::Unit,
    error::{Error, Result},
    plan::Saved,
    ui::{self, Printer},
};

/// Runs the whole pipeline and reports on it, also when a stage failed.
pub(super) async fn run(options: Deploy, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    carry_out("deploy", &options, None, printer, interrupt).await
}

/// The same, keeping to a plan that was saved.
pub(super) async fn carry_out(
    command: &str,
    options: &Deploy,
    saved: Option<&Saved>,
    printer: &Printer,
    interrupt: &Interrupt,
) -> Result<()> {
    let began = Instant::now();
    let mut report = Map::new();
    report.insert("environment".into(), options.target.env.clone().into());
    let result = deploy((command, options, saved), printer, interrupt, &mut report).await;
    let seconds = began.elapsed().as_secs_f64();
    if options.report.output == Output::Json {
        report.insert("released".into(), result.is_ok().into());
        report.insert("error".into(), result.as_ref().err().map_or(Value::Null, super::describe));
        report.insert("seconds".into(), json!((seconds * 1000.0).round() / 1000.0));
        report.insert("stages".into(), json!(printer.rows()));
        printer.json(&report);
    }
    let released = result?;
    let flag = flag(options);
    for (service, Released { number, url, new }) in &released {
        let name = if released.len() > 1 { format!("{service}: ") } else { String::new() };
        printer.words(match new {
            true => format!("\n{name}released {number} in {seconds:.1}s: {url}\nundo: cargo xtask rollback{flag}"),
            false => format!("\n{name}release {number} stands, nothing changed, in {seconds:.1}s: {url}"),
        });
    }
    printer.words(format!("logs: cargo xtask logs -f{flag}"));
    Ok(())
}

/// What was released, by service.
type Ended = Vec<(String, Released)>;

async fn deploy(
    (command, options, saved): (&str, &Deploy, Option<&Saved>),
    printer: &Printer,
    interrupt: &Interrupt,
    report: &mut Map<String, Value>,
) -> Result<Ended> {
    let root = super::root()?;
    let _lock = lock::share(&root, command)?;
    rehearsal::begin(&root, &options.target.env, printer).await?;
    let preflight = preflight::pass(&root, &options.target.env, printer);
    let (environment, source) = interrupt.guard(preflight).await?;
    let units = environment.select(&options.target.services)?;
    if units.len() > 1 && options.image.is_some() {
        return Err(Error::usage("--image is of one service").hint("name it with --service"));
    }
    let session =
        Session::new(printer, &environment, units.clone(), interrupt, command, options.wait_lock).await.making();
    let shared = Shared::new(session, &source, saved);
    let result = match units[..] {
        [unit] => {
            let released = pipeline::run(&shared, unit, options, report).await;
            released.map(|released| vec![(unit.service.name.clone(), released)])
        }
        _ => side_by_side(&shared, &units, options, report).await,
    };
    shared.session.close().await;
    result
}

/// Each service goes its way as soon as those that it needs have gone theirs. One that fails stops those that need it;
/// the others go on.
async fn side_by_side(
    shared: &Shared<'_>,
    units: &[Unit<'_>],
    options: &Deploy,
    report: &mut Map<String, Value>,
) -> Result<Ended> {
    let ends: BTreeMap<&str, watch::Sender<Option<bool>>> =
        units.iter().map(|unit| (unit.service.name.as_str(), watch::Sender::new(None))).collect();
    let ship = units.iter().map(|unit| {
        let ends = &ends;
        let name = unit.service.name.as_str();
        ui::of_service(name, async move {
            let mut report = Map::new();
            let result = match shared.session.guard(*unit, needed(*unit, ends)).await {
                Ok(()) => pipeline::run(shared, *unit, options, &mut report).await,
                Err(error) => Err(error),
            };
            if let Some(end) = ends.get(name) {
                end.send_replace(Some(result.is_ok()));
            }
            report.insert("released".into(), result.is_ok().into());
            report.insert("error".into(), result.as_ref().err().map_or(Value::Null, super::describe));
            (name.to_owned(), report, result)
        })
    });
    let ship = async { Ok(join_all(ship).await) };
    // The cluster and the locks are everybody's: without them nobody goes on, and it is said once.
    let (_, ended) = tokio::try_join!(shared.session.locked(), ship)?;
    let (mut released, mut failed, mut reports) = (Vec::new(), Vec::new(), Map::new());
    for (name, report, result) in ended {
        match result {
            Ok(end) => released.push((name.clone(), end)),
            Err(error) => failed.push(Error { message: format!("{name}: {}", error.message), ..error }),
        }
        reports.insert(name, report.into());
    }
    report.insert("services".into(), reports.into());
    let headline = format!("{} of {} services were not released", failed.len(), units.len());
    Error::gathered(headline, failed).map_or(Ok(released), Err)
}

/// Waits until the services that this one needs are released, as far as they are part of this deploy.
async fn needed(unit: Unit<'_>, ends: &BTreeMap<&str, watch::Sender<Option<bool>>>) -> Result<()> {
    for need in &unit.service.needs {
        let Some(end) = ends.get(need.as_str()) else { continue };
        let mut end = end.subscribe();
        let released = end.wait_for(Option::is_some).await.is_ok_and(|end| *end == Some(true));
        if !released {
            return Err(Error::failed(format!("it needs {need}, which was not released")));
        }
    }
    Ok(())
}

/// The option that names the environment, unless it is the default.
fn flag(options: &Deploy) -> String {
    match options.target.env.as_str() {
        "local" => String::new(),
        name => format!(" --env {name}"),
    }
}
