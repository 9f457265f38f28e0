//! `rollback`: the objects of an earlier release again, by digest and without a build; by command, or because a deploy
//! failed.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{
    attempt::{self, Failure, Goal, Released},
    consent,
    interrupt::Interrupt,
    pipeline,
    session::Session,
};
use crate::{
    cli::{Output, Rollback},
    config::{self, OnFailure, Unit},
    error::{Error, Kind, Result},
    hooks::Hooks,
    image::reference::Reference,
    plan::Options,
    release::{Draft, Entry, Kind as Made, Ledger, Outcome as Fate, Unsealed},
    ui::{self, Done, Printer, Step},
};

/// Brings the service back to what it was in an earlier release.
pub(super) async fn run(options: Rollback, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let began = Instant::now();
    let root = super::root()?;
    let _lock = super::lock::share(&root, "rollback")?;
    let environment = config::load(&root, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    if units.len() > 1 && options.to.is_some() {
        return Err(Error::usage("--to is of one service, each counts its own releases").hint("name it with --service"));
    }
    let session = Session::new(printer, &environment, units.clone(), interrupt, "rollback", options.wait_lock).await;
    let mut report = Map::from_iter([("environment".to_owned(), json!(environment.name))]);
    let result = go_back(&session, &units, &options, &mut report).await;
    session.close().await;
    if options.report.output == Output::Json {
        report.insert("released".into(), result.is_ok().into());
        report.insert("error".into(), result.as_ref().err().map_or(Value::Null, super::describe));
        report.insert("stages".into(), json!(printer.rows()));
        printer.json(&report);
    }
    let seconds = began.elapsed().as_secs_f64();
    for (service, target, Released { number, url, .. }) in result? {
        let name = if units.len() > 1 { format!("{service}: ") } else { String::new() };
        printer.words(format!("\n{name}release {number}, which is release {target} again, in {seconds:.1}s: {url}"));
    }
    Ok(())
}

/// What came back: the service, the release whose objects they are, and the one that it is now.
type Restored = Vec<(String, u64, Released)>;

/// Each service goes back to its own release before, those that need others first. Nothing is changed unless each has
/// one.
async fn go_back(
    session: &Session<'_>,
    units: &[Unit<'_>],
    options: &Rollback,
    report: &mut Map<String, Value>,
) -> Result<Restored> {
    let mut targets = Vec::new();
    for unit in config::in_order(units).into_iter().rev() {
        let (ledger, past) = session.guard(unit, session.releases(unit)).await?;
        let target = match options.to {
            Some(number) => named(&past, number, options.force),
            None => before(&past),
        };
        let of_several = |error: Error| Error { message: format!("{}: {}", unit.service.name, error.message), ..error };
        let target = target.map_err(|error| if units.len() > 1 { of_several(error) } else { error })?.clone();
        targets.push((unit, ledger, target, past));
    }
    let wishes = super::plan::options(&options.changes);
    let restore = async |(unit, ledger, target, past): &(Unit<'_>, Ledger, Entry, Vec<Entry>), report: &mut _| {
        let restored = restore(session, *unit, (ledger, target, past), &wishes, Some(options.yes), report).await;
        let released = restored.map_err(|failure| failure.error)?;
        report.insert("url".into(), json!(released.url));
        Ok((unit.service.name.clone(), origin_of(target), released))
    };
    if let [target] = &targets[..] {
        return Ok(vec![restore(target, report).await?]);
    }
    let (mut restored, mut failed, mut reports) = (Vec::new(), Vec::new(), Map::new());
    // Those that did not go back, and what they need: that must stay as it is for them.
    let mut held: Vec<(&str, &[String])> = Vec::new();
    for target in &targets {
        let service = target.0.service;
        let mut report = Map::new();
        let result = match held.iter().find(|(_, needs)| needs.contains(&service.name)) {
            Some((who, _)) => Err(Error::failed(format!("{who} needs it as it is, as that did not go back"))),
            None => ui::of_service(&service.name, restore(target, &mut report)).await,
        };
        report.insert("released".into(), result.is_ok().into());
        report.insert("error".into(), result.as_ref().err().map_or(Value::Null, super::describe));
        reports.insert(service.name.clone(), report.into());
        match result {
            Ok(end) => restored.push(end),
            Err(error) => {
                held.push((&service.name, &service.needs));
                let interrupted = error.kind == Kind::Interrupted;
                failed.push(Error { message: format!("{}: {}", service.name, error.message), ..error });
                if interrupted {
                    break;
                }
            }
        }
    }
    report.insert("services".into(), reports.into());
    let headline = format!("{} of {} services did not go back", units.len() - restored.len(), units.len());
    Error::gathered(headline, failed).map_or(Ok(restored), Err)
}

/// What a failed deploy leaves: the release before it again, if that is wished and possible. Returns its error.
pub(super) async fn after(
    session: &Session<'_>,
    unit: Unit<'_>,
    failure: Failure,
    wishes: &Options,
    report: &mut Map<String, Value>,
) -> Error {
    let Failure { number, error } = failure;
    let wished = unit.environment.rollout.on_failure == OnFailure::Rollback && error.kind != Kind::Interrupted;
    let (Some(number), true) = (number, wished) else { return error };
    let began = Instant::now();
    let back = async {
        session.check(unit).await?;
        let (ledger, past) = session.releases(unit).await?;
        let Some(target) = past.iter().rfind(|entry| entry.outcome == Fate::Succeeded) else { return Ok(None) };
        let restored = restore(session, unit, (&ledger, target, &past), wishes, None, report).await;
        restored.map_err(|failure| failure.error)?;
        ledger.mark(number, Fate::RolledBack).await?;
        Ok::<_, Error>(Some(target.clone()))
    };
    match back.await {
        Ok(Some(target)) => {
            let mut error = error;
            let seconds = began.elapsed().as_secs_f64();
            let old = error.causes.iter().find_map(|cause| {
                let (count, rest) = cause.split_once(" old pod")?;
                let plural = if count == "1" { "" } else { "s" };
                rest.contains("still serve").then(|| format!("; {count} old pod{plural} served throughout"))
            });
            let old = old.unwrap_or_default();
            error = error.cause(format!("rolled back to {} in {seconds:.1}s{old}", named_with_image(&target)));
            error.kind = Kind::RolledBack;
            if error.diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.cause.is_seen_in_pods()) {
                let show = format!("cargo xtask show {number} --env {}", unit.environment.name);
                error = error.hint(format!("mend it, then deploy again; what it said is kept: {show}"));
            }
            error
        }
        Ok(None) => error.cause("there is no release before it to go back to: it stays as it is"),
        Err(second) if second.kind == Kind::Interrupted => {
            Error { kind: Kind::Interrupted, ..error.cause("the rollback was interrupted") }
        }
        Err(second) => {
            let mut text = format!("the rollback failed, too: {}", second.message);
            for line in second.causes.iter().flat_map(|cause| cause.lines()) {
                text.push_str(&format!("\n  {line}"));
            }
            Error { kind: Kind::Failed, ..error.cause(text) }
        }
    }
}

/// Applies the objects of an earlier release and records that as a release of its own.
async fn restore(
    session: &Session<'_>,
    unit: Unit<'_>,
    (ledger, target, past): (&Ledger, &Entry, &[Entry]),
    wishes: &Options,
    asked: Option<bool>,
    report: &mut Map<String, Value>,
) -> Result<Released, Failure> {
    let header = &target.header;
    let origin = format!("release {}", origin_of(target));
    let prepare = async {
        let cluster = session.locked().await?;
        let (mut content, _) = ledger.read(header).await?;
        let compare = async |step: &Step| {
            let Unsealed { objects, kept } = content.unseal(&cluster.client, unit, &header.salt, &origin).await?;
            let compared = pipeline::compare(unit, cluster, &objects, wishes, past, step).await?;
            for name in kept {
                step.detail(format!("  {name} stays as it is: its values of {origin} are gone"));
            }
            // Hooks don't run again: a migration has no way back that it could tell us.
            let (plan, _) = compared.value;
            Ok(Done::new(compared.outcome, format!("{origin}: {}", compared.summary), plan))
        };
        let plan = session.printer.step("plan").run(compare).await?;
        // A deploy that failed was agreed to, and so was what follows.
        if let Some(yes) = asked {
            consent::ask(session, unit, &plan, yes).await?;
        }
        content.changes = plan.lines();
        Ok((content, plan))
    };
    let prepared = session.guard(unit, prepare).await;
    let (content, plan) = prepared.map_err(|error| Failure { number: None, error })?;
    let draft = Draft {
        kind: Made::Rollback,
        restored: Some(origin_of(target)),
        commit: header.commit.clone(),
        dirty: header.dirty,
        image: header.image.clone(),
        plan: plan.summary().to_string(),
        salt: header.salt.clone(),
        content,
    };
    let goal = Goal { draft: &draft, plan: &plan, hooks: &Hooks::default() };
    attempt::attempt(session, unit, ledger, goal, report).await
}

/// The release whose objects a record has.
fn origin_of(entry: &Entry) -> u64 {
    entry.header.restored.unwrap_or(entry.header.number)
}

/// The release to go back to if none is named: each time one further back.
fn before(past: &[Entry]) -> Result<&Entry> {
    let mut good = past.iter().filter(|entry| entry.outcome == Fate::Succeeded);
    let found = match past.last() {
        Some(last) if last.outcome == Fate::Succeeded => good
            .filter(|entry| origin_of(entry) < origin_of(last))
            .max_by_key(|entry| (origin_of(entry), entry.header.number)),
        _ => good.next_back(),
    };
    found.ok_or_else(|| {
        Error::failed("there is no earlier release that succeeded").hint("see what there is: cargo xtask history")
    })
}

/// The release that is named, if it may be gone back to.
fn named(past: &[Entry], number: u64, force: bool) -> Result<&Entry> {
    let Some(found) = past.iter().find(|entry| entry.header.number == number) else {
        return Err(Error::failed(format!("there is no record of release {number}"))
            .hint("see what there is: cargo xtask history"));
    };
    if found.outcome == Fate::Succeeded || force {
        return Ok(found);
    }
    let error =
        Error::failed(format!("release {number} never ran as it should: it is recorded as {}", found.outcome.word()));
    let error = found.header.error.iter().fold(error, Error::cause);
    Err(error.hint("choose one that succeeded, or insist with --force"))
}

/// `release 42 (sha256:9f3b61..)`
fn named_with_image(entry: &Entry) -> String {
    let image = entry.header.image.as_ref().and_then(|image| image.parse::<Reference>().ok());
    let image = image.map(|image| format!(" ({})", image.short())).unwrap_or_default();
    format!("release {}{image}", origin_of(entry))
}

#[cfg(test)]
mod tests;
