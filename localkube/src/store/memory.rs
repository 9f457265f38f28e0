//! What readers see: the newest version of every object and, per resource, the last changes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use tokio::sync::watch;

use super::{Key, ReadError, Stored};

/// How many changes of a resource are kept for watches that lag or resume.
const HISTORY_EVENTS: usize = 2048;
/// How many bytes of JSON they may hold, so that the memory of an idle server stays small.
const HISTORY_BYTES: usize = 3 << 20;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It came into being.
    Added,
    /// It changed.
    Modified,
    /// It is gone; the event's object is its last version, with the removal's resourceVersion.
    Deleted,
}

/// A change of an object.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The object after it.
    pub object: Arc<Stored>,
    /// The object before it.
    pub previous: Option<Arc<Stored>>,
}

/// The objects of a resource as of one resourceVersion.
#[derive(Debug)]
pub struct Snapshot {
    /// The resourceVersion.
    pub revision: u64,
    /// The objects in the order of namespace and name.
    pub objects: Vec<Arc<Stored>>,
}

/// Namespace and name.
type Place = (String, String);

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Place, Arc<Stored>>,
    history: VecDeque<Arc<Event>>,
    history_bytes: usize,
    /// Changes up to this resourceVersion may be missing in the history.
    forgotten: u64,
    changed: watch::Sender<u64>,
}

/// All objects and their recent history.
#[derive(Debug)]
pub(super) struct Memory {
    tables: HashMap<String, Table>,
    revision: u64,
    /// The history of every resource begins here: what was before the process started is not known.
    start: u64,
}

impl Memory {
    pub(super) fn new(revision: u64) -> Self {
        Self { tables: HashMap::new(), revision, start: revision }
    }

    /// Puts an object there at start-up, without history.
    pub(super) fn load(&mut self, object: Stored) {
        let place = (object.key.namespace.clone(), object.key.name.clone());
        let table = table(&mut self.tables, &object.key.resource, self.start);
        table.objects.insert(place, Arc::new(object));
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let place = (key.namespace.clone(), key.name.clone());
        self.tables.get(&key.resource)?.objects.get(&place).cloned()
    }

    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Snapshot {
        let objects = match self.tables.get(resource) {
            None => Vec::new(),
            Some(table) => within(&table.objects, namespace),
        };
        Snapshot { revision: self.revision, objects }
    }

    pub(super) fn list_at(&self, resource: &str, namespace: Option<&str>, at: u64) -> Result<Snapshot, ReadError> {
        let (events, _) = self.events_after(resource, at)?;
        if events.is_empty() {
            return Ok(Snapshot { revision: at, ..self.list(resource, namespace) });
        }
        let mut objects = self.tables.get(resource).map(|table| table.objects.clone()).unwrap_or_default();
        for event in events.iter().rev() {
            let place = (event.object.key.namespace.clone(), event.object.key.name.clone());
            match &event.previous {
                Some(previous) => objects.insert(place, Arc::clone(previous)),
                None => objects.remove(&place),
            };
        }
        Ok(Snapshot { revision: at, objects: within(&objects, namespace) })
    }

    pub(super) fn events_after(&self, resource: &str, after: u64) -> Result<(Vec<Arc<Event>>, u64), ReadError> {
        if after > self.revision {
            return Err(ReadError::Future(self.revision));
        }
        let Some(table) = self.tables.get(resource) else {
            return if after < self.start {
                Err(ReadError::Expired(self.start))
            } else {
                Ok((Vec::new(), self.revision))
            };
        };
        if after < table.forgotten {
            return Err(ReadError::Expired(table.forgotten));
        }
        let first = table.history.partition_point(|event| event.object.revision <= after);
        Ok((table.history.range(first..).cloned().collect(), self.revision))
    }

    pub(super) fn changes(&mut self, resource: &str) -> watch::Receiver<u64> {
        table(&mut self.tables, resource, self.start).changed.subscribe()
    }

    /// Shows a batch of writes to readers, in the order of their resourceVersions.
    pub(super) fn apply(&mut self, events: Vec<Event>) {
        let mut touched: Vec<String> = Vec::new();
        for event in events {
            let key = &event.object.key;
            self.revision = event.object.revision;
            let table = table(&mut self.tables, &key.resource, self.start);
            let place = (key.namespace.clone(), key.name.clone());
            match event.kind {
                EventKind::Deleted => table.objects.remove(&place),
                _ => table.objects.insert(place, Arc::clone(&event.object)),
            };
            if !touched.contains(&key.resource) {
                touched.push(key.resource.clone());
            }
            table.remember(event);
        }
        for resource in touched {
            if let Some(table) = self.tables.get(&resource) {
                table.changed.send_replace(self.revision);
            }
        }
    }
}

impl Table {
    fn remember(&mut self, event: Event) {
        self.history_bytes += event.object.json.len();
        self.history.push_back(Arc::new(event));
        while self.history.len() > HISTORY_EVENTS || (self.history_bytes > HISTORY_BYTES && self.history.len() > 1) {
            if let Some(oldest) = self.history.pop_front() {
                self.history_bytes -= oldest.object.json.len();
                self.forgotten = oldest.object.revision;
            }
        }
    }
}

fn table<'a>(tables: &'a mut HashMap<String, Table>, resource: &str, start: u64) -> &'a mut Table {
    tables.entry(resource.to_owned()).or_insert_with(|| Table {
        objects: BTreeMap::new(),
        history: VecDeque::new(),
        history_bytes: 0,
        forgotten: start,
        changed: watch::Sender::new(start),
    })
}

fn within(objects: &BTreeMap<Place, Arc<Stored>>, namespace: Option<&str>) -> Vec<Arc<Stored>> {
    let Some(namespace) = namespace else { return objects.values().cloned().collect() };
    let first = Bound::Included((namespace.to_owned(), String::new()));
    let range = objects.range((first, Bound::Unbounded));
    range.take_while(|((other, _), _)| other == namespace).map(|(_, object)| Arc::clone(object)).collect()
}
