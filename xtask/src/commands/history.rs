//! `history`: the releases of a service in an environment.

use jiff::Timestamp;
use serde::Serialize;

use super::{each, workload};
use crate::{
    cli::{Output, Reporting},
    config::{self, Unit},
    error::Result,
    image::reference::Reference,
    release::{Entry, Ledger},
    ui::Printer,
};

/// The records of one service.
#[derive(Debug, Serialize)]
struct History<'a> {
    environment: &'a str,
    /// The newest first.
    releases: Vec<Entry>,
}

/// Lists them, service by service.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let environment = config::load(&super::root()?, &options.target.env)?;
    let units = environment.select(&options.target.services)?;
    let client = workload::client(&environment).await?;
    let look = async |unit: Unit<'_>| {
        let mut releases = Ledger::open(&client, unit).await?.list().await?;
        releases.reverse();
        Ok(History { environment: &environment.name, releases })
    };
    let looked = each::look(&units, look).await;
    if options.report.output == Output::Json {
        each::documents(&environment, &looked, printer);
    } else {
        each::sections(&looked, History::lines, printer);
        for (unit, _) in looked.iter().filter(|(_, found)| found.as_ref().is_ok_and(|found| found.releases.is_empty()))
        {
            let what = if units.len() > 1 { format!("nothing of {}", unit.service.name) } else { "nothing".to_owned() };
            printer.words(format!("{what} was released to {}: cargo xtask deploy", environment.name));
        }
    }
    each::all(looked).map(drop)
}

impl History<'_> {
    fn lines(&self) -> Vec<String> {
        if self.releases.is_empty() {
            return Vec::new();
        }
        let rows = self.releases.iter().map(row);
        table(["NUMBER", "OUTCOME", "WHEN", "TOOK", "COMMIT", "IMAGE", "BY", "WHAT"], rows)
    }
}

fn row(entry: &Entry) -> [String; 8] {
    let header = &entry.header;
    let image = header.image.as_ref().and_then(|image| image.parse::<Reference>().ok());
    let what = match (&header.error, header.restored) {
        (Some(error), _) => error.clone(),
        (None, Some(restored)) => format!("rollback to {restored}: {}", header.plan),
        (None, None) => header.plan.clone(),
    };
    [
        header.number.to_string(),
        entry.outcome.word().to_owned(),
        moment(header.when),
        header.seconds.map(|seconds| format!("{seconds:.1}s")).unwrap_or_default(),
        commit(header.commit.as_deref(), header.dirty),
        image.map(|image| image.short()).unwrap_or_default(),
        header.who.clone(),
        what,
    ]
}

/// `2026-11-21 11:20:09`, in UTC as all machines agree on it.
pub(super) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `4f2c1e9b0d3a+` with uncommitted changes.
pub(super) fn commit(commit: Option<&str>, dirty: bool) -> String {
    let digits = commit.map_or("", |commit| commit.get(..12).unwrap_or(commit));
    format!("{digits}{}", if dirty { "+" } else { "" })
}

/// Rows in columns that are as wide as they must be; the last one runs on.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
