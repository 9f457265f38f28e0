//! The file: one redb table of objects and one of facts about the store itself.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use serde_json::Value;

use super::{Key, OpenError, Stored, memory::Memory};

/// `resource \0 namespace \0 name` to the object's JSON, without `apiVersion` and `kind`.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// `format`, `revision`.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
/// Grows when an older program could not read what a newer one wrote.
const FORMAT: u64 = 1;
/// Where the sequence of a new store begins. Not at 1: a resourceVersion from the life of a directory that was removed
/// is then more likely refused as too old than taken for one of ours.
const FIRST_REVISION: u64 = 100;
/// redb's own cache; reads are served from our memory, so it only has to hold what a commit touches.
const CACHE_BYTES: usize = 2 << 20;

/// The opened file.
#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
}

/// A change to the file: the new JSON, or none for a removal.
pub(super) type Change<'a> = (&'a Key, Option<&'a [u8]>);

impl Disk {
    /// Opens or makes the file and reads everything in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Memory), OpenError> {
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| opening(path, error))?;
        let disk = Self { database };
        let foreign = |reason: String| OpenError::Foreign { path: path.to_owned(), reason };
        let memory = disk.load(path).map_err(|error| match error {
            LoadError::Redb(error) => foreign(error.to_string()),
            LoadError::Open(error) => error,
        })?;
        Ok((disk, memory))
    }

    /// Puts a batch of changes into the file; when it returns they survive a loss of power.
    pub(super) fn commit(&self, revision: u64, changes: &[Change<'_>]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for (key, json) in changes {
                let key = format!("{}\0{}\0{}", key.resource, key.namespace, key.name);
                match json {
                    Some(json) => objects.insert(key.as_str(), *json)?,
                    None => objects.remove(key.as_str())?,
                };
            }
            transaction.open_table(FACTS)?.insert("revision", revision)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn load(&self, path: &Path) -> Result<Memory, LoadError> {
        self.prepare(path)?;
        let transaction = self.database.begin_read()?;
        let facts = transaction.open_table(FACTS)?;
        let revision = facts.get("revision")?.map_or(FIRST_REVISION, |value| value.value());
        let mut memory = Memory::new(revision);
        for entry in transaction.open_table(OBJECTS)?.iter()? {
            let (key, json) = entry?;
            let object = decode(key.value(), json.value()).ok_or_else(|| OpenError::Foreign {
                path: path.to_owned(),
                reason: format!("the object {:?} in it cannot be read", key.value()),
            })?;
            memory.load(object);
        }
        Ok(memory)
    }

    /// Makes the tables of a new file; checks the format of one that is there.
    fn prepare(&self, path: &Path) -> Result<(), LoadError> {
        let transaction = self.database.begin_write()?;
        {
            let known = transaction.list_tables()?.count();
            let mut facts = transaction.open_table(FACTS)?;
            let format = facts.get("format")?.map(|value| value.value());
            match format {
                Some(FORMAT) => {}
                None if known == 0 => {
                    facts.insert("format", FORMAT)?;
                    facts.insert("revision", FIRST_REVISION)?;
                    transaction.open_table(OBJECTS)?;
                }
                other => {
                    let reason = format!("its format is {}, this program reads {FORMAT}", other.unwrap_or(0));
                    return Err(OpenError::Foreign { path: path.to_owned(), reason }.into());
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Labels as selectors look at them.
pub(super) fn labels(object: &Value) -> Vec<(String, String)> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn decode(key: &str, json: &[u8]) -> Option<Stored> {
    let mut parts = key.split('\0').map(str::to_owned);
    let key = Key { resource: parts.next()?, namespace: parts.next()?, name: parts.next()? };
    let object: Value = std::str::from_utf8(json).ok()?.parse().ok()?;
    let revision = object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()?;
    Some(Stored { key, revision, json: Bytes::copy_from_slice(json), labels: labels(&object) })
}

fn opening(path: &Path, error: DatabaseError) -> OpenError {
    let path = PathBuf::from(path);
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path),
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != std::io::ErrorKind::InvalidData => {
            OpenError::Io { path, source }
        }
        other => OpenError::Foreign { path, reason: other.to_string() },
    }
}

enum LoadError {
    Redb(redb::Error),
    Open(OpenError),
}

impl From<OpenError> for LoadError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl<E: Into<redb::Error>> From<E> for LoadError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}
