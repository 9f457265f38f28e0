//! `diff`: what differs between two releases, or between one and what runs, field by field.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{show, workload};
use crate::{
    cli::{Diff, Output, Side},
    config::{self, Unit},
    error::Result,
    hooks,
    manifests::Object,
    plan::{self, Action, FieldDiff, ObjectRef, differences},
    release::Ledger,
    ui::{Printer, Step},
};

/// One object that is not the same on both sides.
#[derive(Debug, Serialize)]
struct Difference {
    object: ObjectRef,
    #[serde(flatten)]
    what: What,
}

/// In what it is not the same.
#[derive(Debug, Serialize)]
#[serde(tag = "difference", rename_all = "lowercase")]
enum What {
    /// It is on the second side only.
    Added,
    /// It is on the first side only.
    Removed,
    /// These fields differ.
    Changed { fields: Vec<FieldDiff> },
}

/// Prints what turns the first into the second.
pub(super) async fn run(options: Diff, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let unit = environment.only(&options.target.services)?;
    let client = workload::client(&environment).await?;
    let ledger = Ledger::open(&client, unit).await?;
    let found = match options.to {
        Side::Release(to) => {
            let (first, second) =
                tokio::try_join!(show::find(&ledger, unit, options.from), show::find(&ledger, unit, to))?;
            between(&first.1.objects, &second.1.objects)
        }
        Side::Live => live(&client, unit, &ledger, options.from).await?,
    };
    if options.report.output == Output::Json {
        printer.json(&json!({"from": options.from, "to": options.to.to_string(), "differences": found}));
        return Ok(());
    }
    if found.is_empty() {
        printer.words("nothing differs");
    }
    found.iter().flat_map(Difference::lines).for_each(|line| printer.data(line));
    Ok(())
}

fn between(first: &[Value], second: &[Value]) -> Vec<Difference> {
    let by_reference = |objects: &[Value]| -> BTreeMap<ObjectRef, Value> {
        objects.iter().map(|value| (Object::recorded(value.clone(), "").reference(), value.clone())).collect()
    };
    let (first, mut second) = (by_reference(first), by_reference(second));
    let mut found = Vec::new();
    for (object, before) in first {
        let what = match second.remove(&object) {
            None => What::Removed,
            Some(after) if after == before => continue,
            Some(after) => What::Changed { fields: differences(&before, &after) },
        };
        found.push(Difference { object, what });
    }
    found.extend(second.into_keys().map(|object| Difference { object, what: What::Added }));
    found.sort_by(|left, right| left.object.cmp(&right.object));
    found
}

/// What a rollback would undo, looked at the other way round: so defaults of the API server are no differences.
async fn live(client: &kube::Client, unit: Unit<'_>, ledger: &Ledger, number: u64) -> Result<Vec<Difference>> {
    let (entry, content, _) = show::find(ledger, unit, number).await?;
    let unsealed = content.unseal(client, unit, &entry.header.salt, &format!("release {number}")).await?;
    let (objects, _) = hooks::split(&unsealed.objects)?;
    let plan = plan::plan(client, unit, &objects, &plan::Options::looking(), &Step::silent()).await?;
    let what = |action: Action| match action {
        Action::Create => Some(What::Removed),
        Action::Update { fields } | Action::Replace { fields } => {
            let turn = |field: FieldDiff| FieldDiff { before: field.after, after: field.before, ..field };
            Some(What::Changed { fields: fields.into_iter().map(turn).collect() })
        }
        _ => None,
    };
    let changes = plan.changes.into_iter();
    Ok(changes.filter_map(|change| Some(Difference { object: change.object, what: what(change.action)? })).collect())
}

impl Difference {
    fn lines(&self) -> Vec<String> {
        match &self.what {
            What::Added => vec![format!("+ {}", self.object)],
            What::Removed => vec![format!("- {}", self.object)],
            What::Changed { fields } => {
                let fields = fields.iter().map(|field| format!("    {field}"));
                std::iter::once(format!("~ {}", self.object)).chain(fields).collect()
            }
        }
    }
}
