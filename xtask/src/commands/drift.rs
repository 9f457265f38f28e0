//! `drift`: what differs between the last release and what is there, and who changed it.

use serde::Serialize;

use super::{each, forecast, workload};
use crate::{
    cli::{Drift, PlanOutput},
    config::{self, Unit},
    error::{Error, Result},
    hooks,
    plan::{self, MARKDOWN_LIMIT, Options, Plan},
    release::{Ledger, Outcome as Fate, Unsealed},
    ui::{Done, Outcome, Printer, Step},
};

/// What drifted of one service.
#[derive(Debug, Serialize)]
struct Drifted {
    /// The release that should run.
    since: u64,
    /// Secrets whose values are not those of the release any more.
    kept: Vec<String>,
    #[serde(flatten)]
    plan: Plan,
}

/// Compares the objects of the last release that succeeded with the live ones, service by service.
pub(super) async fn run(options: Drift, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    let client = workload::client(&environment).await?;
    let look = async |unit| printer.step("drift").run(async |step| compare(&client, unit, step).await).await;
    let looked = each::look(&units, look).await;
    match options.output {
        PlanOutput::Text => each::sections(&looked, |drifted| drifted.plan.lines(), printer),
        PlanOutput::Json => each::documents(&environment, &looked, printer),
        PlanOutput::Markdown => forecast::comment(&looked, MARKDOWN_LIMIT, printer, |unit, drifted, limit| {
            let title = format!("Drift of {} in {}", unit.service.name, environment.name);
            drifted.plan.markdown(&title, &[("since", format!("release {}", drifted.since))], limit)
        }),
    }
    for name in looked.iter().filter_map(|(_, found)| found.as_ref().ok()).flat_map(|drifted| &drifted.kept) {
        printer.words(format!("! {name}: its values are not those of the release any more"));
    }
    let differs = each::all(looked)?.iter().any(|drifted| !drifted.plan.is_empty() || !drifted.kept.is_empty());
    if options.exit_code && differs { Err(Error::differs()) } else { Ok(()) }
}

async fn compare(client: &kube::Client, unit: Unit<'_>, step: &Step) -> Result<Done<Drifted>> {
    let ledger = Ledger::open(client, unit).await?;
    let entries = ledger.list().await?;
    let Some(last) = entries.iter().rfind(|entry| entry.outcome == Fate::Succeeded) else {
        return Err(Error::failed(format!("there is no release of {} that succeeded", unit.service.name))
            .hint(format!("cargo xtask deploy --env {}", unit.environment.name)));
    };
    let since = last.header.number;
    let origin = format!("release {since}");
    let (content, _) = ledger.read(&last.header).await?;
    let Unsealed { objects, kept } = content.unseal(client, unit, &last.header.salt, &origin).await?;
    let options = Options { blame: true, ..Options::looking() };
    let (objects, _) = hooks::split(&objects)?;
    let plan = plan::plan(client, unit, &objects, &options, step).await?;
    let same = plan.is_empty() && kept.is_empty();
    let count = plan.summary();
    let drifted = count.created + count.changed + count.replaced + kept.len();
    let summary = if same { format!("nothing, since {origin}") } else { format!("{drifted} objects, since {origin}") };
    let outcome = if same { Outcome::Same } else { Outcome::Changed };
    Ok(Done::new(outcome, summary, Drifted { since, kept, plan }))
}
