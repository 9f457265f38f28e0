//! A record's Secrets: what is written where in them.

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::Entry;
use crate::{
    error::{Error, Result},
    plan::{FIELD_MANAGER, ownership},
    release::record::{self, Header, Outcome},
};

/// The key of the packed content, or of its part.
pub(super) const CONTENT: &str = "content";

/// A part of a record.
pub(super) fn new(name: String, id: &str, number: u64, chunk: &[u8]) -> Secret {
    let labels = [
        (ownership::MANAGED_BY, FIELD_MANAGER.to_owned()),
        (record::RELEASE, id.to_owned()),
        (record::NUMBER, number.to_string()),
    ];
    let labels = Some(labels.map(|(key, value)| (key.to_owned(), value)).into());
    Secret {
        metadata: ObjectMeta { name: Some(name), labels, ..ObjectMeta::default() },
        type_: Some(record::TYPE.to_owned()),
        data: Some([(CONTENT.to_owned(), ByteString(chunk.to_vec()))].into()),
        ..Secret::default()
    }
}

/// Writes down what lists show.
pub(super) fn describe(head: &mut Secret, header: &Header, outcome: Outcome) -> Result<()> {
    let text = serde_json::to_string(header)
        .map_err(|error| Error::failed(format!("write the header of release {}", header.number)).source(&error))?;
    head.metadata.annotations.get_or_insert_default().insert(record::HEADER.to_owned(), text);
    head.metadata.labels.get_or_insert_default().insert(record::OUTCOME.to_owned(), outcome.word().to_owned());
    Ok(())
}

pub(super) fn is_head(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(record::OUTCOME))
}

pub(super) fn number(metadata: &ObjectMeta) -> Option<u64> {
    metadata.labels.as_ref()?.get(record::NUMBER)?.parse().ok()
}

/// A head's entry; nothing for the rest of a record.
pub(super) fn entry(metadata: &ObjectMeta) -> Option<Result<Entry>> {
    let outcome = Outcome::of(metadata.labels.as_ref()?.get(record::OUTCOME)?)?;
    let text = metadata.annotations.as_ref()?.get(record::HEADER)?;
    let name = metadata.name.clone().unwrap_or_default();
    let newer = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|header| header["format"].as_u64());
    Some(match serde_json::from_str::<Header>(text) {
        Ok(header) if header.format <= record::FORMAT => Ok(Entry { header, outcome }),
        _ if newer.is_some_and(|format| format > u64::from(record::FORMAT)) => {
            Err(Error::failed(format!("read the record {name}: a newer version of this program has written it"))
                .hint("use that version: a release it made can't be judged by this one"))
        }
        Ok(_) | Err(_) => Err(Error::failed(format!("read the record {name}: its header is damaged"))),
    })
}
