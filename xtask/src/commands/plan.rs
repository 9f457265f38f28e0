//! `plan`: what a deploy would change.

use std::path::Path;

use kube::Client;

use super::{
    each,
    forecast::{self, Forecast, Images, Release},
    infrastructure::Infrastructure,
    lock, pipeline, preflight, release as image,
};
use crate::{
    cli::{Changes, Plan as Asked},
    cluster,
    config::{self, Environment, Unit},
    error::{Error, Result},
    hooks,
    image::{
        engine,
        reference::Reference,
        source::{self, Source},
    },
    manifests::{self, Object},
    plan::{self, Options, Plan, Saved},
    registry,
    release::Ledger,
    secrets,
    ui::{Done, Outcome, Printer, Step},
};

/// Compares the manifests of each service with what is there, with the image that a deploy would run if there is one
/// yet. Starts nothing.
pub(super) async fn run(asked: Asked, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let environment = config::load(&root, &asked.target.env)?;
    let units = environment.select(&asked.target.services)?;
    for (flag, is_given) in [("--image", asked.image.is_some()), ("--out", asked.out.is_some())] {
        if is_given && units.len() > 1 {
            return Err(Error::usage(format!("{flag} is of one service")).hint("name it with --service"));
        }
    }
    let infrastructure = Infrastructure::look(&environment, printer).await?;
    let connection = cluster::find(&environment).await?;
    if connection.is_none() {
        check_absent(&environment, &asked)?;
    }
    let source = source::inspect(&root).await.ok();
    let source = source.as_ref();
    let looked = each::look(&units, async |unit| match &connection {
        Some(connection) => against(&connection.client, unit, source, &asked, printer).await,
        None => from_nothing(unit, source, &asked, printer).await,
    });
    let looked = looked.await;
    forecast::show(&environment, &looked, infrastructure.as_ref(), asked.output, printer);
    for (unit, found) in &looked {
        for hook in found.iter().flat_map(|found| &found.hooks) {
            printer.words(format!("> {} of {} runs {}", hook.object, unit.service.name, hook.phase));
        }
    }
    if let Some(path) = asked.out.as_ref().filter(|_| looked.iter().all(|(_, found)| found.is_ok())) {
        printer.words(format!("\napply it: cargo xtask apply {}", path.display()));
    }
    let differs = each::all(looked)?.iter().any(Forecast::differs);
    let infrastructure = infrastructure.is_some_and(|infrastructure| infrastructure.differs());
    if asked.exit_code && (differs || infrastructure) { Err(Error::differs()) } else { Ok(()) }
}

/// One service beside what the cluster has of it.
async fn against(
    client: &Client,
    unit: Unit<'_>,
    source: Option<&Source>,
    asked: &Asked,
    printer: &Printer,
) -> Result<Forecast> {
    let wanted = match (&asked.image, &asked.out) {
        (Some(image), _) => Some(image.clone()),
        // What is applied later has a digest, so it has to be built by now.
        (None, Some(_)) => Some(ship(&unit.environment.root, unit, printer).await?),
        (None, None) => None,
    };
    let list = async { Ledger::open(client, unit).await?.list().await };
    let (past, unreadable) = match list.await {
        Ok(past) => (past, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let readable = unreadable.is_none();
    let image = Images::find(Some(client), unit, source, &past, wanted.as_ref()).await?;
    let (objects, hooks) = hooks::split(&registry::pull::render(unit, image.rendered()).await?)?;
    let salt = asked.out.as_ref().map(|_| uuid::Uuid::new_v4().to_string());
    let options = Options { thorough: true, salt: salt.clone(), ..options(&asked.changes) };
    let compare = async |step: &Step| {
        let mut plan = plan::plan(client, unit, &objects, &options, step).await?;
        match unreadable {
            None => pipeline::keep_generated(&mut plan, &past),
            // Who may not read the records is told of the rest.
            Some(error) if !plan.deletes_generated() => step.line(format!("the releases are not known: {error}")),
            Some(error) => return Err(error),
        }
        let outcome = if plan.is_empty() { Outcome::Same } else { Outcome::Changed };
        Ok(Done::new(outcome, plan.summary().to_string(), plan))
    };
    let plan = printer.step("plan").run(compare).await?;
    if let (Some(path), Some(salt), Some(wanted)) = (&asked.out, &salt, &wanted) {
        Saved::new(unit, &wanted.to_string(), &plan, &options, salt).write(path)?;
    }
    let release = readable.then(|| Release::next(&past, &plan, &image));
    Ok(Forecast { image, release, hooks: hooks.describe(unit), plan })
}

/// What the command line allows a plan to do.
pub(super) fn options(changes: &Changes) -> Options {
    Options {
        take_ownership: changes.take_ownership,
        allow_replace: changes.allow_replace,
        unprotected: changes.prune_protected.iter().cloned().collect(),
        ..Options::default()
    }
}

async fn ship(root: &Path, unit: Unit<'_>, printer: &Printer) -> Result<Reference> {
    let (_, source) = preflight::pass(root, &unit.environment.name, printer).await?;
    let docker = engine::connect().await?;
    let build = async |step: &Step| {
        let _lock = lock::build(root, step).await?;
        image::build(&docker, unit, &source, step).await
    };
    let built = printer.step("build").run(build).await?;
    let push = async |step: &Step| image::push(&docker, unit.environment, &built, step).await;
    Ok(printer.step("push").run(push).await?.image)
}

/// Whether something can be said where no cluster runs.
fn check_absent(environment: &Environment, asked: &Asked) -> Result<()> {
    if cluster::keeps_state(environment) {
        return Err(Error::failed(format!("the cluster of {} does not run", environment.name))
            .cause("it keeps what was deployed before, which cannot be compared while it is stopped")
            .hint("start it: cargo xtask local up"));
    }
    match asked.out {
        Some(_) => Err(Error::failed("there is no cluster to plan for").hint("start it: cargo xtask local up")),
        None => Ok(()),
    }
}

/// Where no cluster has been yet, a deploy makes it and then everything.
async fn from_nothing(unit: Unit<'_>, source: Option<&Source>, asked: &Asked, printer: &Printer) -> Result<Forecast> {
    let image = Images::find(None, unit, source, &[], asked.image.as_ref()).await?;
    let mut objects = manifests::render(unit, image.rendered())?;
    secrets::add(unit, &mut objects).await?;
    let (objects, hooks) = hooks::split(&objects)?;
    let step = printer.step("plan");
    step.end(Outcome::Changed, format!("a cluster and {} objects created", objects.len()));
    let plan = Plan::from_nothing(objects.iter().map(Object::reference));
    let release = Some(Release::next(&[], &plan, &image));
    Ok(Forecast { image, release, hooks: hooks.describe(unit), plan })
}
