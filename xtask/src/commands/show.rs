//! `show`: one release in full, with the objects that it applied.

use serde_json::json;

use super::{history, workload};
use crate::{
    cli::{Output, Show},
    config::{self, Unit},
    error::{Error, Result},
    manifests::{self, Object},
    release::{Content, Entry, Ledger},
    ui::Printer,
};

/// Prints what is known of it, then its objects as YAML; what is secret in them is not in the record.
pub(super) async fn run(options: Show, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let unit = environment.only(&options.target.services)?;
    let ledger = Ledger::open(&workload::client(&environment).await?, unit).await?;
    let (entry, content, diagnosis) = find(&ledger, unit, options.number).await?;
    if options.report.output == Output::Json {
        printer.json(&json!({
            "release": entry,
            "changes": content.changes,
            "diagnosis": diagnosis,
            "objects": content.objects,
        }));
        return Ok(());
    }
    lines(&entry).into_iter().for_each(|line| printer.data(format!("# {line}")));
    for line in content.changes.iter().chain(diagnosis.iter()).flat_map(|text| text.lines()) {
        printer.data(format!("#   {line}"));
    }
    let origin = format!("release {}", options.number);
    let objects: Vec<Object> = content.objects.into_iter().map(|value| Object::recorded(value, &origin)).collect();
    printer.bytes(manifests::to_yaml(&objects).as_bytes());
    Ok(())
}

/// A release with all of its record.
pub(super) async fn find(ledger: &Ledger, unit: Unit<'_>, number: u64) -> Result<(Entry, Content, Option<String>)> {
    let entries = ledger.list().await?;
    let Some(entry) = entries.into_iter().find(|entry| entry.header.number == number) else {
        let hint = format!("see what there is: cargo xtask history --env {}", unit.environment.name);
        return Err(Error::failed(format!("there is no record of release {number}")).hint(hint));
    };
    let (content, diagnosis) = ledger.read(&entry.header).await?;
    Ok((entry, content, diagnosis))
}

fn lines(entry: &Entry) -> Vec<String> {
    let header = &entry.header;
    let mut lines = vec![format!("release {}: {} {}", header.number, header.kind.word(), entry.outcome.word())];
    let took = header.seconds.map(|seconds| format!(", took {seconds:.1}s")).unwrap_or_default();
    lines.push(format!("{} UTC{took}, by {}: {}", history::moment(header.when), header.who, header.command));
    lines.extend(header.restored.map(|restored| format!("the objects of release {restored} again")));
    lines.extend(header.run.clone());
    if header.commit.is_some() || header.dirty {
        lines.push(format!("commit {}", history::commit(header.commit.as_deref(), header.dirty)));
    }
    lines.extend(header.image.as_ref().map(|image| format!("image {image}")));
    lines.push(header.plan.clone());
    lines
}
