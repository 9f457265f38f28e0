//! The one thread that writes: it orders all writes, and one commit to the disk serves all that wait for one.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Expect, Key, Stored, WriteError,
    disk::{self, Disk},
    memory::{Event, EventKind, Memory},
};

/// More than ever wait at once in practice; bounds the memory of one commit.
const BATCH: usize = 512;

type Outcome = Result<Arc<Stored>, WriteError>;

/// A write that waits for its turn.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) key: Key,
    pub(super) expect: Expect,
    /// None removes the object.
    pub(super) object: Option<Value>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// Starts the writer; it ends when every sender is gone. The other end of the second channel is gone once the file is
/// closed.
pub(super) fn start(disk: Disk, memory: Arc<RwLock<Memory>>) -> (mpsc::UnboundedSender<Request>, watch::Receiver<()>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (open, closed) = watch::channel(());
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || {
            let mut requests = Vec::new();
            while receiver.blocking_recv_many(&mut requests, BATCH) > 0 {
                write(&disk, &memory, requests.drain(..));
            }
            drop(disk);
            drop(open);
        })
        .expect("the operating system gives a thread");
    (sender, closed)
}

/// One batch: check and number every write, commit, show, answer.
fn write(disk: &Disk, memory: &RwLock<Memory>, requests: impl Iterator<Item = Request>) {
    let mut batch = Batch::new(memory);
    let mut answers = Vec::new();
    for request in requests {
        let outcome = batch.add(request.key, request.expect, request.object);
        answers.push((request.answer, outcome));
    }
    let committed = batch.commit(disk, memory);
    for (answer, outcome) in answers {
        let outcome = match &committed {
            Ok(()) => outcome,
            Err(reason) => outcome.and(Err(WriteError::Disk(reason.clone()))),
        };
        // A client that went away does not want to know.
        let _ = answer.send(outcome);
    }
}

struct Batch<'a> {
    memory: &'a RwLock<Memory>,
    revision: u64,
    events: Vec<Event>,
    /// What the batch has made of the objects it touches.
    pending: HashMap<Key, Option<Arc<Stored>>>,
}

impl<'a> Batch<'a> {
    fn new(memory: &'a RwLock<Memory>) -> Self {
        let revision = memory.read().expect("readers do not panic").revision();
        Self { memory, revision, events: Vec::new(), pending: HashMap::new() }
    }

    fn add(&mut self, key: Key, expect: Expect, object: Option<Value>) -> Outcome {
        let current = self.current(&key);
        match (expect, &current) {
            (Expect::Absent, Some(_)) => return Err(WriteError::Exists),
            (Expect::Revision(_), None) => return Err(WriteError::Absent),
            (Expect::Revision(expected), Some(current)) if current.revision != expected => {
                return Err(WriteError::Modified);
            }
            _ => {}
        }
        let kind = match (&object, &current) {
            (None, _) => EventKind::Deleted,
            (Some(_), Some(_)) => EventKind::Modified,
            (Some(_), None) => EventKind::Added,
        };
        let mut object = match (object, &current) {
            (Some(object), _) => object,
            (None, Some(current)) => current.value(),
            (None, None) => return Err(WriteError::Absent),
        };
        if let (EventKind::Modified, Some(current)) = (kind, &current) {
            set_revision(&mut object, current.revision);
            if encode(&object) == current.json {
                return Ok(Arc::clone(current));
            }
        }
        self.revision += 1;
        set_revision(&mut object, self.revision);
        let stored = Arc::new(Stored {
            key: key.clone(),
            revision: self.revision,
            json: encode(&object),
            labels: disk::labels(&object),
        });
        self.pending.insert(key, (kind != EventKind::Deleted).then(|| Arc::clone(&stored)));
        self.events.push(Event { kind, object: Arc::clone(&stored), previous: current });
        Ok(stored)
    }

    fn current(&self, key: &Key) -> Option<Arc<Stored>> {
        match self.pending.get(key) {
            Some(pending) => pending.clone(),
            None => self.memory.read().expect("readers do not panic").get(key),
        }
    }

    fn commit(self, disk: &Disk, memory: &RwLock<Memory>) -> Result<(), String> {
        if self.events.is_empty() {
            return Ok(());
        }
        let changes: Vec<disk::Change<'_>> = self
            .pending
            .iter()
            .map(|(key, object)| (key, object.as_ref().map(|object| object.json.as_ref())))
            .collect();
        disk.commit(self.revision, &changes).map_err(|error| error.to_string())?;
        memory.write().expect("readers do not panic").apply(self.events);
        Ok(())
    }
}

fn encode(object: &Value) -> Bytes {
    // Unlike `to_vec`, Display is compiled in serde_json's own crate, where even the dev profile optimises it.
    Bytes::from(object.to_string())
}

fn set_revision(object: &mut Value, revision: u64) {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
}
