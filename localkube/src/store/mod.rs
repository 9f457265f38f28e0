//! Objects, their resourceVersions and the history that watches read, in memory and on disk.
//!
//! All kinds share one store, as they share one etcd: an object is its JSON under (resource, namespace, name), and every
//! write of any object gets the next number of one sequence, the resourceVersion. Reads and watches are served from
//! memory; a writer thread puts batches of writes on disk and only then shows them to readers.

mod disk;
mod memory;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock, RwLockReadGuard},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use memory::Memory;
pub use memory::{Event, EventKind, Snapshot};

/// Where an object lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `deployments.apps`: [`crate::resource::Resource::storage`].
    pub resource: String,
    /// Empty for objects of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// One version of an object.
#[derive(Debug)]
pub struct Stored {
    /// Where it lives.
    pub key: Key,
    /// `metadata.resourceVersion`.
    pub revision: u64,
    /// The object without `apiVersion` and `kind`: these depend on the path it is asked for by.
    pub json: Bytes,
    /// `metadata.labels`, for selectors.
    pub labels: Vec<(String, String)>,
}

/// Why a write was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is an object already.
    #[error("the object exists already")]
    Exists,
    /// There is no such object (any more).
    #[error("the object does not exist")]
    Absent,
    /// The object has another resourceVersion than the write was made for.
    #[error("the object has been modified")]
    Modified,
    /// The disk did not take it.
    #[error("cannot write the store: {0}")]
    Disk(String),
}

/// Why a read of the past was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The history does not go back so far; it does to this resourceVersion.
    Expired(u64),
    /// There is no such resourceVersion yet; the newest is this.
    Future(u64),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// What is there was not written by this program, or not to the end.
    #[error("{} is not a store of this version ({reason})", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot open {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    Revision(u64),
}

/// The objects of a cluster. Clones share them.
#[derive(Debug, Clone)]
pub struct Store {
    memory: Arc<RwLock<Memory>>,
    writes: mpsc::UnboundedSender<writer::Request>,
    closed: watch::Receiver<()>,
}

impl Store {
    /// Opens the store in a file, made if there is none.
    ///
    /// # Errors
    /// The file belongs to something else, is damaged, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (disk, memory) = disk::Disk::open(path)?;
        let memory = Arc::new(RwLock::new(memory));
        let (writes, closed) = writer::start(disk, Arc::clone(&memory));
        Ok(Self { memory, writes, closed })
    }

    /// Ends when the file is closed: once all clones of the store are gone.
    pub fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut closed = self.closed.clone();
        async move { while closed.changed().await.is_ok() {} }
    }

    /// The newest version of an object.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.read().get(key)
    }

    /// The objects of a resource in the order of namespace and name, all of them as of one resourceVersion.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Snapshot {
        self.read().list(resource, namespace)
    }

    /// The same as of an earlier resourceVersion.
    ///
    /// # Errors
    /// The history does not reach it.
    pub fn list_at(&self, resource: &str, namespace: Option<&str>, revision: u64) -> Result<Snapshot, ReadError> {
        self.read().list_at(resource, namespace, revision)
    }

    /// The newest resourceVersion of all.
    pub fn revision(&self) -> u64 {
        self.read().revision()
    }

    /// What happened to a resource after a resourceVersion, and the newest resourceVersion of all.
    ///
    /// # Errors
    /// The history does not reach back.
    pub fn events_after(&self, resource: &str, revision: u64) -> Result<(Vec<Arc<Event>>, u64), ReadError> {
        self.read().events_after(resource, revision)
    }

    /// Changes whenever a resource does.
    pub fn changes(&self, resource: &str) -> watch::Receiver<u64> {
        self.memory.write().expect("no reader or writer panics while it holds the lock").changes(resource)
    }

    /// Stores a new object and returns it as stored.
    ///
    /// # Errors
    /// There is one already, or the disk refuses.
    pub async fn create(&self, key: Key, object: Value) -> Result<Arc<Stored>, WriteError> {
        self.write(key, Expect::Absent, Some(object)).await
    }

    /// Replaces the object that has the resourceVersion; one that is the same but for it is left alone.
    ///
    /// # Errors
    /// The object has changed or gone, or the disk refuses.
    pub async fn update(&self, key: Key, revision: u64, object: Value) -> Result<Arc<Stored>, WriteError> {
        self.write(key, Expect::Revision(revision), Some(object)).await
    }

    /// Removes the object that has the resourceVersion and returns its last version, which carries the removal's.
    ///
    /// # Errors
    /// The object has changed or gone, or the disk refuses.
    pub async fn delete(&self, key: Key, revision: u64) -> Result<Arc<Stored>, WriteError> {
        self.write(key, Expect::Revision(revision), None).await
    }

    async fn write(&self, key: Key, expect: Expect, object: Option<Value>) -> Result<Arc<Stored>, WriteError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || WriteError::Disk("the writer has stopped".to_owned());
        self.writes.send(writer::Request { key, expect, object, answer }).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().expect("no reader or writer panics while it holds the lock")
    }
}

impl Stored {
    /// The object, without `apiVersion` and `kind`.
    pub fn value(&self) -> Value {
        let text = std::str::from_utf8(&self.json).expect("JSON text is UTF-8");
        // Unlike `from_slice`, `parse` is compiled in serde_json's own crate, where even the dev profile optimises it.
        text.parse().expect("what the store holds was written as JSON")
    }
}
