//! Records as objects in a bucket: `releases/SERVICE.ENVIRONMENT/NUMBER/head.json`, and its content beside it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Entry, already};
use crate::{
    config::{S3State, Unit},
    error::{Error, Result},
    plan::{CONCURRENCY, ownership},
    release::{
        Holder,
        bucket::{Bucket, Found},
        record::{self, Content, Draft, Header, Outcome},
    },
};

const HEAD: &str = "head.json";
const CONTENT: &str = "content";
/// How often a mark is tried that somebody else's write came before.
const ATTEMPTS: usize = 5;

/// The objects of a service's records.
#[derive(Clone)]
pub(super) struct Objects {
    bucket: Bucket,
    /// `releases/SERVICE.ENVIRONMENT/`
    prefix: String,
}

/// The head of a record.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    header: Header,
    outcome: Outcome,
    diagnosis: Option<String>,
}

impl Objects {
    pub(super) async fn open(settings: &S3State, unit: Unit<'_>) -> Result<Self> {
        let prefix = format!("releases/{}/", ownership::id(unit));
        Ok(Self { bucket: Bucket::open(settings).await?, prefix })
    }

    pub(super) async fn list(&self) -> Result<Vec<Entry>> {
        let numbers = self.numbers().await?;
        let heads = numbers.iter().filter(|(_, names)| names.contains(HEAD));
        let read = heads.map(|(number, _)| async move {
            let found = self.bucket.get(&self.key(*number, HEAD)).await?;
            found.map(|found| self.parse(*number, &found)).transpose()
        });
        let heads: Vec<Option<Head>> = stream::iter(read).buffered(CONCURRENCY).try_collect().await?;
        Ok(heads.into_iter().flatten().map(|Head { header, outcome, .. }| Entry { header, outcome }).collect())
    }

    pub(super) async fn begin(&self, draft: &Draft, holder: &Holder) -> Result<(Header, String)> {
        let numbers = self.numbers().await?;
        // A process that was killed before it wrote the head.
        for (number, _) in numbers.iter().filter(|(_, names)| !names.contains(HEAD)) {
            self.bucket.delete(&self.key(*number, CONTENT), None).await?;
        }
        let heads = numbers.iter().filter(|(_, names)| names.contains(HEAD));
        let number = heads.map(|(number, _)| *number).max().map_or(1, |last| last + 1);
        let doing = || format!("record release {number} in {}", self.bucket.url(&self.prefix));
        let packed = record::pack(&draft.content)?;
        self.bucket.create(&self.key(number, CONTENT), packed).await?.ok_or_else(|| already(doing()))?;
        let header = draft.header(number, 1, holder);
        let head = Head { header: header.clone(), outcome: Outcome::Begun, diagnosis: None };
        let written = self.bucket.create(&self.key(number, HEAD), text(&head)?).await?;
        let written = written.ok_or_else(|| already(doing()))?;
        Ok((header, written.etag))
    }

    /// Writes down how a release ended.
    pub(super) async fn end(
        &self,
        etag: &str,
        header: Header,
        outcome: Outcome,
        diagnosis: Option<String>,
    ) -> Result<()> {
        let key = self.key(header.number, HEAD);
        let number = header.number;
        let written = self.bucket.replace(&key, text(&Head { header, outcome, diagnosis })?, etag).await?;
        match written {
            Some(_) => Ok(()),
            None => Err(Error::failed(format!("record how release {number} ended"))
                .cause("another process has written it since: it was taken for abandoned")
                .hint("see what is there: cargo xtask history")),
        }
    }

    pub(super) async fn mark(&self, number: u64, outcome: Outcome) -> Result<()> {
        let key = self.key(number, HEAD);
        let doing = || format!("mark release {number} as {}", outcome.word());
        for _ in 0..ATTEMPTS {
            let Some(found) = self.bucket.get(&key).await? else {
                return Err(Error::failed(doing()).cause("its record is gone"));
            };
            let head = Head { outcome, ..self.parse(number, &found)? };
            if self.bucket.replace(&key, text(&head)?, &found.etag).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::failed(doing()).cause("somebody else keeps writing it"))
    }

    pub(super) async fn read(&self, header: &Header) -> Result<(Content, Option<String>)> {
        let number = header.number;
        let (head, content) = (self.key(number, HEAD), self.key(number, CONTENT));
        let (head, content) = futures::try_join!(self.bucket.get(&head), self.bucket.get(&content))?;
        let gone = || Error::failed(format!("read release {number}")).cause("its record is gone, or a part of it");
        let head = self.parse(number, &head.ok_or_else(gone)?)?;
        Ok((record::unpack(&content.ok_or_else(gone)?.body)?, head.diagnosis))
    }

    pub(super) async fn prune(&self, old: &BTreeSet<u64>) -> Result<()> {
        // Heads first: nobody shall find one whose content is gone.
        for name in [HEAD, CONTENT] {
            let deletes =
                old.iter().map(|number| async move { self.bucket.delete(&self.key(*number, name), None).await });
            stream::iter(deletes).buffer_unordered(CONCURRENCY).try_collect::<Vec<bool>>().await?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self) -> Result<usize> {
        let numbers = self.numbers().await?;
        let heads = numbers.values().filter(|names| names.contains(HEAD)).count();
        self.prune(&numbers.into_keys().collect()).await?;
        Ok(heads)
    }

    /// What there is of each number.
    async fn numbers(&self) -> Result<BTreeMap<u64, BTreeSet<String>>> {
        let mut numbers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for key in self.bucket.keys(&self.prefix).await? {
            let rest = key.strip_prefix(&self.prefix).and_then(|rest| rest.split_once('/'));
            let Some((number, name)) = rest else { continue };
            if let Ok(number) = number.parse() {
                numbers.entry(number).or_default().insert(name.to_owned());
            }
        }
        Ok(numbers)
    }

    fn parse(&self, number: u64, found: &Found) -> Result<Head> {
        let doing = || format!("read the record {}", self.bucket.url(&self.key(number, HEAD)));
        let newer = serde_json::from_slice::<serde_json::Value>(&found.body).ok();
        let newer = newer.and_then(|head| head["header"]["format"].as_u64());
        if newer.is_some_and(|format| format > u64::from(record::FORMAT)) {
            return Err(Error::failed(format!("{}: a newer version of this program has written it", doing()))
                .hint("use that version: a release it made can't be judged by this one"));
        }
        serde_json::from_slice(&found.body).map_err(|error| Error::failed(doing()).source(&error))
    }

    fn key(&self, number: u64, name: &str) -> String {
        format!("{}{number:08}/{name}", self.prefix)
    }
}

fn text(head: &Head) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(head).map_err(|error| Error::failed("write the record of a release").source(&error))
}
