//! What a deploy would do to the cluster itself, what that costs and how long it takes.

use serde::Serialize;

use crate::{
    cluster::eks::{self, Price},
    config::{self, Environment},
    error::Result,
    ui::{Done, Outcome, Printer, Step},
};

/// The answer of `plan` for the cluster.
#[derive(Debug, Serialize)]
pub(super) struct Infrastructure {
    cluster: String,
    changes: Vec<String>,
    price: Price,
    /// How long the changes usually take.
    minutes: u32,
    /// What somebody should know of its version.
    notice: Option<String>,
}

impl Infrastructure {
    /// Compares the cluster with the configuration, where it is ours to make.
    pub(super) async fn look(environment: &Environment, printer: &Printer) -> Result<Option<Self>> {
        let config::Cluster::Eks(eks) = &environment.cluster else { return Ok(None) };
        let look = async |step: &Step| {
            let planned = Box::pin(eks::plan(eks)).await?;
            let changes = planned.lines(eks);
            changes.iter().for_each(|line| step.detail(line));
            let outcome = if changes.is_empty() { Outcome::Same } else { Outcome::Changed };
            let summary = format!("EKS {}, {} changes", eks.name, changes.len());
            let (cluster, price, minutes, notice) = (eks.name.clone(), planned.price, planned.minutes, planned.notice);
            Ok(Done::new(outcome, summary, Self { cluster, changes, price, minutes, notice }))
        };
        let found = printer.step("cluster").run(look).await?;
        found.notice.iter().for_each(|notice| printer.warning(notice));
        Ok(Some(found))
    }

    pub(super) fn differs(&self) -> bool {
        !self.changes.is_empty()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("cost", self.price.line())];
        match self.minutes {
            0 => {}
            1 => facts.push(("takes", "about a minute".to_owned())),
            minutes => facts.push(("takes", format!("about {minutes} minutes"))),
        }
        facts
    }

    /// As people read it.
    pub(super) fn lines(&self) -> Vec<String> {
        let facts = self.facts().into_iter().map(|(name, fact)| format!("{name:<8} {fact}"));
        facts.chain(self.changes.iter().cloned()).collect()
    }

    /// As a part of a comment; names of things on AWS hold nothing that is markup.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("### The cluster {}\n\n", self.cluster);
        self.facts().iter().for_each(|(name, fact)| text.push_str(&format!("{name}: {fact}<br>\n")));
        self.notice.iter().for_each(|notice| text.push_str(&format!("**{notice}**<br>\n")));
        match self.changes[..] {
            [] => text.push_str("\nNothing changes.\n"),
            _ => text.push_str(&format!("\n```\n{}\n```\n", self.changes.join("\n"))),
        }
        text
    }
}
