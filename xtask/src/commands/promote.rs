//! `promote`: what one environment runs, by its digest, to another one.

use super::{deploy, interrupt::Interrupt, workload};
use crate::{
    cli::{Deploy, Promote, Target},
    config::{self, Unit},
    error::{Error, Result},
    image::reference::{Pinned, Reference},
    registry,
    release::{Entry, Ledger, Outcome as Fate},
    ui::{Done, Outcome, Printer, Step},
};

/// Finds the release, brings its image to the other registry and deploys it there: nothing is built.
pub(super) async fn run(options: Promote, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    let root = super::root()?;
    let (from, to) = (config::load(&root, &options.from)?, config::load(&root, &options.to)?);
    if from.name == to.name {
        return Err(Error::usage(format!("{} cannot be promoted to itself", from.name)));
    }
    let target = to.only(&options.services)?;
    let source = from.unit(Some(&target.service.name))?;
    let find = async {
        let image = printer.step("release").run(async |_| released(source).await).await?;
        printer.step("copy").run(async |step| copy(source, &image, target, step).await).await
    };
    let image = interrupt.guard(find).await?;
    let deploy = Deploy {
        target: Target { env: options.to, services: options.services },
        report: options.report,
        changes: options.changes,
        yes: options.yes,
        image: Some(image),
        wait_lock: options.wait_lock,
    };
    let command = format!("promote --from {}", from.name);
    deploy::carry_out(&command, &deploy, None, printer, interrupt).await
}

/// The image of the last release, which must have succeeded: what failed there is not to be tried elsewhere.
async fn released(source: Unit<'_>) -> Result<Done<Pinned>> {
    let (name, service) = (&source.environment.name, &source.service.name);
    let ledger = match Ledger::in_bucket(source).await? {
        Some(ledger) => ledger,
        None => Ledger::open(&workload::client(source.environment).await?, source).await?,
    };
    let doing = || Error::failed(format!("promote {service} from {name}"));
    let entries = ledger.list().await?;
    let Some(last) = telling(&entries) else {
        return Err(doing().cause("nothing was released there").hint(format!("cargo xtask deploy --env {name}")));
    };
    let (number, outcome) = (last.header.number, last.outcome);
    if outcome != Fate::Succeeded {
        return Err(doing()
            .cause(format!("its last release, {number}, is recorded as {}", outcome.word()))
            .hint(format!("see why: cargo xtask show {number} --env {name}")));
    }
    match last.header.image.as_deref().map(str::parse::<Reference>).transpose()? {
        Some(Reference::Pinned(image)) => {
            let summary = format!("{number} of {name}, {}", image.digest.short());
            Ok(Done::new(Outcome::Ok, summary, image))
        }
        _ => Err(doing().cause(format!("no registry has the image of release {number}"))),
    }
}

/// The release that tells whether what runs is to be promoted: the last one. If a deploy failed and the one before it
/// came back by itself, that is the deploy: nobody has said yet that the old version is wanted.
fn telling(past: &[Entry]) -> Option<&Entry> {
    let last = past.last()?;
    let tried = past.iter().rfind(|entry| entry.header.restored.is_none());
    let undone = tried.filter(|tried| tried.outcome == Fate::RolledBack && last.outcome == Fate::Succeeded);
    Some(undone.unwrap_or(last))
}

async fn copy(source: Unit<'_>, image: &Pinned, target: Unit<'_>, step: &Step) -> Result<Done<Reference>> {
    let (image, sent) = registry::promote(source, image, target, step).await?;
    let outcome = if sent == 0 { Outcome::Same } else { Outcome::Changed };
    Ok(Done::new(outcome, format!("{}, {sent} blobs sent", image.repository), image.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Failed, RolledBack, Succeeded};

    #[test]
    fn what_failed_last_is_told_of_though_an_older_one_runs() {
        for (past, expected) in [
            (vec![], None),
            (vec![(Succeeded, None)], Some(1)),
            (vec![(Succeeded, None), (Failed, None)], Some(2)),
            // It came back by itself.
            (vec![(Succeeded, None), (RolledBack, None), (Succeeded, Some(1))], Some(2)),
            (vec![(Succeeded, None), (RolledBack, None), (Succeeded, Some(1)), (Succeeded, None)], Some(4)),
            // Somebody wanted it back.
            (vec![(Succeeded, None), (Succeeded, None), (Succeeded, Some(1))], Some(3)),
        ] {
            let entries: Vec<Entry> =
                (1..).zip(&past).map(|(number, (fate, restored))| Entry::example(number, *fate, *restored)).collect();
            assert_eq!(telling(&entries).map(|entry| entry.header.number), expected, "{past:?}");
        }
    }
}
