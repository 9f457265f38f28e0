//! What is recorded of a release, and how it is packed: a header that lists show, and a content that is compressed.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Holder;
use crate::{
    error::{Error, Result},
    manifests::Object,
    plan::{ObjectRef, has_hash},
};

/// Which service in which environment a record belongs to; not the label by which a deploy finds its objects, or a
/// destroy would take its records for some of them.
pub(super) const RELEASE: &str = "slipway.dev/release";
/// The number, as a label.
pub(super) const NUMBER: &str = "slipway.dev/number";
/// The outcome, as a label: it alone may change once a record is immutable.
pub(super) const OUTCOME: &str = "slipway.dev/outcome";
/// The header, as an annotation.
pub(super) const HEADER: &str = "slipway.dev/header";
/// The type of the Secrets.
pub(super) const TYPE: &str = "slipway.dev/release.v1";

/// The version of what is written here; readers refuse newer ones.
pub(super) const FORMAT: u32 = 1;

/// What made a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `deploy`.
    Deploy,
    /// `rollback`, or a deploy that failed and went back.
    Rollback,
    /// `apply` of a saved plan.
    Apply,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is under way, or its process was killed.
    Begun,
    /// It ran and answered.
    Succeeded,
    /// It did not, and stayed.
    Failed,
    /// A signal ended it.
    Interrupted,
    /// Its process was killed; found by the next one.
    Abandoned,
    /// It failed, and the release before came back.
    RolledBack,
}

/// What lists show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// Counts the releases of a service in an environment, from 1.
    pub number: u64,
    /// What made it.
    pub kind: Kind,
    /// The release whose objects were applied again, of a rollback.
    pub restored: Option<u64>,
    /// When it began.
    pub when: Timestamp,
    /// The person.
    pub who: String,
    /// The command.
    pub command: String,
    /// The page of the workflow run.
    pub run: Option<String>,
    /// The commit that the manifests and the image are from.
    pub commit: Option<String>,
    /// Whether there were changes that are in no commit.
    pub dirty: bool,
    /// The image by digest.
    pub image: Option<String>,
    /// What the plan said in a line.
    pub plan: String,
    /// What sealed values are mixed with; the same in all records of a service, so that they can be compared.
    pub salt: String,
    /// The ConfigMaps and Secrets of generated names in it, which a prune keeps as long as this is recorded.
    #[serde(default)]
    pub generated: Vec<ObjectRef>,
    /// The parts that the content is in.
    pub chunks: usize,
    /// How long it took, once it has ended.
    pub seconds: Option<f64>,
    /// Why it failed, in a line.
    pub error: Option<String>,
}

/// A release that is about to begin.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What makes it.
    pub kind: Kind,
    /// The release whose objects are applied again.
    pub restored: Option<u64>,
    /// The commit.
    pub commit: Option<String>,
    /// Whether there are changes that are in no commit.
    pub dirty: bool,
    /// The image by digest.
    pub image: Option<String>,
    /// What the plan says in a line.
    pub plan: String,
    /// What its objects were sealed with.
    pub salt: String,
    /// The rest.
    pub content: Content,
}

/// What only `show`, `diff` and a rollback need.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The rendered objects, sealed.
    pub objects: Vec<Value>,
    /// Where in each of them something was sealed, as JSON pointers.
    pub sealed: Vec<Vec<String>>,
    /// What the plan said, object by object.
    pub changes: Vec<String>,
}

impl Outcome {
    /// As labels and tables have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
            Self::RolledBack => "rolled-back",
        }
    }

    /// The outcome of this word.
    pub(super) fn of(word: &str) -> Option<Self> {
        use Outcome::{Abandoned, Begun, Failed, Interrupted, RolledBack, Succeeded};
        [Begun, Succeeded, Failed, Interrupted, Abandoned, RolledBack].into_iter().find(|one| one.word() == word)
    }
}

impl Kind {
    /// As tables have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Apply => "apply",
        }
    }
}

impl Draft {
    /// The header of the release that begins now.
    pub(super) fn header(&self, number: u64, chunks: usize, holder: &Holder) -> Header {
        Header {
            format: FORMAT,
            number,
            kind: self.kind,
            restored: self.restored,
            when: Timestamp::now(),
            who: holder.who.clone(),
            command: holder.command.clone(),
            run: holder.run.clone(),
            commit: self.commit.clone(),
            dirty: self.dirty,
            image: self.image.clone(),
            plan: self.plan.clone(),
            salt: self.salt.clone(),
            generated: self.content.generated(),
            chunks,
            seconds: None,
            error: None,
        }
    }
}

impl Content {
    fn generated(&self) -> Vec<ObjectRef> {
        let references = self.objects.iter().map(|value| Object::recorded(value.clone(), "").reference());
        references.filter(has_hash).collect()
    }
}

/// Compresses a content.
pub(super) fn pack(content: &Content) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::error::Error| Error::failed("pack the record of the release").source(error);
    // At once: to write piece by piece into the compressor costs more than the compression.
    let text = serde_json::to_vec(content).map_err(|error| failed(&error))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text).map_err(|error| failed(&error))?;
    encoder.finish().map_err(|error| failed(&error))
}

/// The reverse of [`pack`].
pub(super) fn unpack(bytes: &[u8]) -> Result<Content> {
    let failed = |error: &dyn std::error::Error| Error::failed("read the record of the release").source(error);
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text).map_err(|error| failed(&error))?;
    serde_json::from_slice(&text).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_as_it_is_written() {
        use Outcome::{Abandoned, Begun, Failed, Interrupted, RolledBack, Succeeded};
        for outcome in [Begun, Succeeded, Failed, Interrupted, Abandoned, RolledBack] {
            assert_eq!(Outcome::of(outcome.word()), Some(outcome));
            // Programs read the same word.
            assert_eq!(serde_json::to_value(outcome).expect("a word"), outcome.word());
        }
        assert_eq!(Outcome::of("done"), None);
    }

    #[test]
    fn what_is_packed_is_unpacked_and_what_is_cut_off_is_noticed() {
        let objects = vec![serde_json::json!({"kind": "ConfigMap", "data": {"a": "1".repeat(10_000)}})];
        let content = Content { objects, sealed: vec![vec!["/data/a".into()]], changes: vec!["+ ConfigMap a".into()] };
        let packed = pack(&content).expect("it can be packed");
        assert!(packed.len() < 1_000, "{} bytes", packed.len());
        assert_eq!(unpack(&packed).expect("it is whole"), content);
        unpack(&packed[..packed.len() / 2]).expect_err("half of it is missing");
    }
}
