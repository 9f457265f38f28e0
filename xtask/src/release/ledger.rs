//! The records of a service in an environment: in its cluster, or in a bucket.
//!
//! The content of a record is written before its head, so that whoever sees a head can read all of the record.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use serde::Serialize;

use super::{
    Holder,
    record::{Content, Draft, Header, Outcome},
};
use crate::{
    config::{State, Unit},
    error::{Error, Result},
};

mod cluster;
mod objects;
mod secret;

use cluster::Secrets;
use objects::Objects;

/// Of a longer diagnosis the beginning is kept.
const DIAGNOSIS: usize = 32 << 10;

/// The records of one service in one environment.
#[derive(Clone)]
pub struct Ledger {
    place: Place,
    keep: usize,
}

#[derive(Clone)]
enum Place {
    Cluster(Box<Secrets>),
    Bucket(Objects),
}

/// A record in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// What it is about.
    #[serde(flatten)]
    pub header: Header,
    /// What became of it.
    pub outcome: Outcome,
}

/// A release that is under way.
#[derive(Debug)]
pub struct Begun {
    /// Its number.
    pub number: u64,
    header: Header,
    head: Head,
}

/// The head of a record as it was written first.
#[derive(Debug)]
enum Head {
    Secret(Box<Secret>),
    /// An object, by its ETag.
    Object(String),
}

impl Ledger {
    /// The records of this service in this environment.
    ///
    /// # Errors
    /// They are in a bucket, and there are no credentials for it.
    pub async fn open(client: &Client, unit: Unit<'_>) -> Result<Self> {
        match Self::in_bucket(unit).await? {
            Some(ledger) => Ok(ledger),
            None => Ok(Self::new(Place::Cluster(Box::new(Secrets::new(client, unit))), unit)),
        }
    }

    /// The same without the cluster, if the records are in a bucket.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub async fn in_bucket(unit: Unit<'_>) -> Result<Option<Self>> {
        match &unit.environment.state {
            State::Cluster => Ok(None),
            State::S3(settings) => Ok(Some(Self::new(Place::Bucket(Objects::open(settings, unit).await?), unit))),
        }
    }

    fn new(place: Place, unit: Unit<'_>) -> Self {
        Self { place, keep: unit.environment.release.keep }
    }

    /// All records, the oldest first; their headers, not their contents.
    ///
    /// # Errors
    /// The place does not answer, or a record is of a newer format.
    pub async fn list(&self) -> Result<Vec<Entry>> {
        let mut entries = match &self.place {
            Place::Cluster(secrets) => secrets.list().await?,
            Place::Bucket(objects) => objects.list().await?,
        };
        entries.sort_by_key(|entry| entry.header.number);
        Ok(entries)
    }

    /// Marks what killed processes have left as abandoned, and returns it. Only for who holds the lock.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn recover(&self, entries: &mut [Entry]) -> Result<Vec<u64>> {
        let mut abandoned = Vec::new();
        for entry in entries.iter_mut().filter(|entry| entry.outcome == Outcome::Begun) {
            self.mark(entry.header.number, Outcome::Abandoned).await?;
            entry.outcome = Outcome::Abandoned;
            abandoned.push(entry.header.number);
        }
        Ok(abandoned)
    }

    /// Records that a release begins. Only for who holds the lock.
    ///
    /// # Errors
    /// The place does not take it, or somebody else has recorded one meanwhile.
    pub async fn begin(&self, draft: &Draft, holder: &Holder) -> Result<Begun> {
        let (header, head) = match &self.place {
            Place::Cluster(secrets) => {
                let (header, head) = secrets.begin(draft, holder).await?;
                (header, Head::Secret(Box::new(head)))
            }
            Place::Bucket(objects) => {
                let (header, etag) = objects.begin(draft, holder).await?;
                (header, Head::Object(etag))
            }
        };
        Ok(Begun { number: header.number, header, head })
    }

    /// Records how a release ended; nothing about it changes after that but a failure that was rolled back.
    ///
    /// # Errors
    /// The place does not take it, or another process has declared the release abandoned.
    pub async fn end(&self, begun: Begun, outcome: Outcome, seconds: f64, error: Option<&Error>) -> Result<()> {
        let Begun { mut header, head, .. } = begun;
        header.seconds = Some((seconds * 1000.0).round() / 1000.0);
        header.error = error.map(|error| error.message.clone());
        let diagnosis = error.map(|error| {
            let mut text = std::iter::once(&error.message).chain(&error.causes).cloned().collect::<Vec<_>>().join("\n");
            text.truncate(text.floor_char_boundary(DIAGNOSIS));
            text
        });
        match (&self.place, head) {
            (Place::Cluster(secrets), Head::Secret(head)) => secrets.end(*head, &header, outcome, diagnosis).await,
            (Place::Bucket(objects), Head::Object(etag)) => objects.end(&etag, header, outcome, diagnosis).await,
            _ => Err(Error::failed("record how a release ended that was begun in another place")),
        }
    }

    /// Changes the outcome of a record, and makes it final.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn mark(&self, number: u64, outcome: Outcome) -> Result<()> {
        match &self.place {
            Place::Cluster(secrets) => secrets.mark(number, outcome).await,
            Place::Bucket(objects) => objects.mark(number, outcome).await,
        }
    }

    /// The content of a record, and its diagnosis if it failed.
    ///
    /// # Errors
    /// It is not there, or not all of it.
    pub async fn read(&self, header: &Header) -> Result<(Content, Option<String>)> {
        match &self.place {
            Place::Cluster(secrets) => secrets.read(header).await,
            Place::Bucket(objects) => objects.read(header).await,
        }
    }

    /// Removes the oldest records beyond those that are kept. The last that succeeded stays, whatever its age.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn prune(&self) -> Result<()> {
        let entries = self.list().await?;
        let good = entries.iter().rfind(|entry| entry.outcome == Outcome::Succeeded).map(|entry| entry.header.number);
        let beyond = entries.len().saturating_sub(self.keep);
        let old: BTreeSet<u64> =
            entries[..beyond].iter().map(|entry| entry.header.number).filter(|number| Some(*number) != good).collect();
        if old.is_empty() {
            return Ok(());
        }
        match &self.place {
            Place::Cluster(secrets) => secrets.prune(&old).await,
            Place::Bucket(objects) => objects.prune(&old).await,
        }
    }

    /// Removes all records, and says how many there were.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn remove(&self) -> Result<usize> {
        match &self.place {
            Place::Cluster(secrets) => secrets.remove().await,
            Place::Bucket(objects) => objects.remove().await,
        }
    }
}

/// The error for a number that is taken.
fn already(doing: String) -> Error {
    let error = Error::failed(doing).cause("somebody else has recorded one of this number meanwhile");
    error.hint("see what is there: cargo xtask history")
}

#[cfg(test)]
impl Entry {
    /// A record of which nothing is known but this.
    pub(crate) fn example(number: u64, outcome: Outcome, restored: Option<u64>) -> Self {
        let draft = Draft {
            kind: if restored.is_some() { super::Kind::Rollback } else { super::Kind::Deploy },
            restored,
            commit: None,
            dirty: false,
            image: Some(format!("r/app@sha256:{}", "1a".repeat(32))),
            plan: String::new(),
            salt: String::new(),
            content: Content::default(),
        };
        Self { header: draft.header(number, 1, &Holder::example("a")), outcome }
    }
}
