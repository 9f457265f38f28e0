//! One service's way from source to a verified release; several may go it side by side.

use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::{
    attempt::{self, Goal, Released},
    consent, lock, release as image, rollback,
    session::Session,
};
use crate::{
    cli::Deploy,
    cluster::Connection,
    config::Unit,
    error::Result,
    hooks::{self, Hooks},
    image::{
        engine::{self, Docker},
        reference::Reference,
        source::Source,
    },
    manifests::Object,
    plan::{self, Options, Plan, Saved},
    registry,
    release::{Content, Draft, Entry, Kind, Outcome as Fate},
    ui::{Done, Outcome, Step},
};

/// What the services of one deploy share: each part is made once, by the service that needs it first.
pub(super) struct Shared<'a> {
    pub(super) session: Session<'a>,
    pub(super) source: &'a Source,
    /// The plan to which it must keep.
    saved: Option<&'a Saved>,
    docker: OnceCell<Docker>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(session: Session<'a>, source: &'a Source, saved: Option<&'a Saved>) -> Self {
        Self { session, source, saved, docker: OnceCell::new() }
    }

    async fn docker(&self) -> Result<&Docker> {
        self.docker.get_or_try_init(engine::connect).await
    }
}

/// The stages; up to the plan nothing that runs is touched.
pub(super) async fn run(
    shared: &Shared<'_>,
    unit: Unit<'_>,
    options: &Deploy,
    report: &mut Map<String, Value>,
) -> Result<Released> {
    let session = &shared.session;
    let (cluster, image, bytes) = session.guard(unit, ship(shared, unit, options)).await?;
    report.insert("cluster".into(), cluster.description.clone().into());
    report.insert("image".into(), json!({"reference": image.to_string(), "bytes": bytes}));
    let (ledger, past) = session.guard(unit, session.releases(unit)).await?;

    let wishes = shared.saved.map_or_else(|| super::plan::options(&options.changes), Saved::options);
    let compare = async |step: &Step| {
        let objects = registry::pull::render(unit, Some(&image)).await?;
        let Done { outcome, summary, value } = compare(unit, cluster, &objects, &wishes, &past, step).await?;
        shared.saved.map_or(Ok(()), |saved| saved.check(&value.0))?;
        Ok(Done { outcome, summary, value: (objects, value) })
    };
    let compared = session.guard(unit, session.printer.step("plan").run(compare)).await?;
    let (objects, (plan, hooks)) = compared;
    report.insert("changes".into(), json!(plan.changes));
    report.insert("hooks".into(), json!(hooks.describe(unit)));
    if let Some(number) = standing(&past, &plan, &image) {
        report.insert("release".into(), json!({"number": number, "kind": null}));
        let url = session.guard(unit, attempt::confirm(session, unit, cluster, &plan)).await?;
        report.insert("url".into(), json!(url));
        return Ok(Released { number, url, new: false });
    }
    session.guard(unit, consent::ask(session, unit, &plan, options.yes)).await?;
    session.guard(unit, keep_images(unit, &past, &image)).await?;
    let draft = draft(shared, &past, &objects, &plan, &image);
    match attempt::attempt(session, unit, &ledger, Goal { draft: &draft, plan: &plan, hooks: &hooks }, report).await {
        Ok(released) => {
            report.insert("url".into(), json!(released.url));
            Ok(released)
        }
        Err(failure) => Err(rollback::after(session, unit, failure, &wishes, report).await),
    }
}

/// Builds and pushes. Meanwhile the cluster is connected to and the lock taken: whoever is second hears it at once.
async fn ship<'s>(
    shared: &'s Shared<'_>,
    unit: Unit<'_>,
    options: &Deploy,
) -> Result<(&'s Connection, Reference, Option<u64>)> {
    let session = &shared.session;
    if let Some(image) = &options.image {
        return Ok((session.locked().await?, image.clone(), None));
    }
    let build = async {
        let docker = shared.docker().await?;
        let build = async |step: &Step| {
            let _lock = lock::build(&unit.environment.root, step).await?;
            image::build(docker, unit, shared.source, step).await
        };
        Ok((docker, session.printer.step("build").run(build).await?))
    };
    let ((docker, built), cluster) = tokio::try_join!(build, session.locked())?;
    let push = async |step: &Step| image::push(docker, unit.environment, &built, step).await;
    let pushed = session.printer.step("push").run(push).await?;
    Ok((cluster, pushed.image, Some(built.size)))
}

/// What applying these objects would change, and their hooks; what earlier releases need to come back stays.
pub(super) async fn compare(
    unit: Unit<'_>,
    cluster: &Connection,
    objects: &[Object],
    wishes: &Options,
    past: &[Entry],
    step: &Step,
) -> Result<Done<(Plan, Hooks)>> {
    let (ordinary, hooks) = hooks::split(objects)?;
    let mut plan = plan::plan(&cluster.client, unit, &ordinary, wishes, step).await?;
    let hooked = hooks.describe(unit);
    keep_generated(&mut plan, past);
    plan.lines().into_iter().for_each(|line| step.detail(line));
    let outcome = if plan.is_empty() { Outcome::Same } else { Outcome::Ok };
    let mut summary = plan.summary().to_string();
    if !hooked.is_empty() {
        summary.push_str(&format!(", {} hooks", hooked.len()));
    }
    Ok(Done::new(outcome, summary, (plan, hooks)))
}

/// Keeps what earlier releases need to come back.
pub(super) fn keep_generated(plan: &mut Plan, past: &[Entry]) {
    if plan.deletes_generated() {
        plan.keep(&past.iter().flat_map(|entry| entry.header.generated.iter().cloned()).collect());
    }
}

/// Keeps the images of the recorded releases, and the one that is about to run, from expiring.
async fn keep_images(unit: Unit<'_>, past: &[Entry], image: &Reference) -> Result<()> {
    let recorded = past.iter().filter_map(|entry| entry.header.image.as_deref()?.parse::<Reference>().ok());
    let digests = recorded.chain([image.clone()]).filter_map(|image| match image {
        Reference::Pinned(image) => Some(image.digest),
        Reference::Unpushed(_) => None,
    });
    registry::keep(unit, &digests.collect()).await
}

/// The release that runs, if there is nothing to change about it.
pub(super) fn standing(past: &[Entry], plan: &Plan, image: &Reference) -> Option<u64> {
    let last = past.last().filter(|last| plan.is_empty() && last.outcome == Fate::Succeeded)?;
    (last.header.image.as_deref() == Some(image.to_string().as_str())).then_some(last.header.number)
}

fn draft(shared: &Shared<'_>, past: &[Entry], objects: &[Object], plan: &Plan, image: &Reference) -> Draft {
    let salt = past.last().map_or_else(|| uuid::Uuid::new_v4().to_string(), |last| last.header.salt.clone());
    Draft {
        kind: if shared.saved.is_some() { Kind::Apply } else { Kind::Deploy },
        restored: None,
        commit: shared.source.commit.clone(),
        dirty: !shared.source.is_clean(),
        image: Some(image.to_string()),
        plan: plan.summary().to_string(),
        content: Content::seal(objects, plan.lines(), &salt),
        salt,
    }
}
