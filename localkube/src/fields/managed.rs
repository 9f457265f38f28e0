//! `metadata.managedFields`: who owns which fields, read and written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Manager, set::Set};

/// At most this many managers that update are told apart; the oldest are merged into one.
const MAX_UPDATERS: usize = 10;
const OLD_UPDATES: &str = "ancient-changes";

/// Who owns fields. An applier is the same one whatever version it applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Of updates only.
    pub(super) version: Option<String>,
    pub(super) subresource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What somebody owns, since when, and in which version the fields are named.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Owned {
    pub(super) set: Set,
    pub(super) version: String,
    pub(super) time: Option<String>,
}

/// Every owner of an object's fields.
pub(super) type Owners = BTreeMap<Id, Owned>;

impl Id {
    pub(super) fn new(manager: Manager<'_>, operation: Operation) -> Self {
        Self {
            name: manager.name.to_owned(),
            operation,
            version: (operation == Operation::Update).then(|| manager.api_version.to_owned()),
            subresource: manager.subresource.unwrap_or_default().to_owned(),
        }
    }

    /// The manager as conflicts name it.
    pub(super) fn display(&self) -> String {
        let mut text = Value::from(self.name.as_str()).to_string();
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", Value::from(self.subresource.as_str())));
        }
        if let Some(version) = &self.version {
            text.push_str(&format!(" using {version}"));
        }
        text
    }
}

/// The owners that an object names; `None` where the list is malformed.
pub(super) fn read(object: &Value) -> Option<Owners> {
    let entries = match object.pointer("/metadata/managedFields") {
        None | Some(Value::Null) => return Some(Owners::new()),
        Some(entries) => entries.as_array()?,
    };
    let mut owners = Owners::new();
    for entry in entries {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let version = text("apiVersion").to_owned();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if version.is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let id = Id {
            name: text("manager").to_owned(),
            operation,
            version: (operation == Operation::Update).then(|| version.clone()),
            subresource: text("subresource").to_owned(),
        };
        let set = entry.get("fieldsV1").map_or(Some(Set::default()), Set::from_json)?;
        let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
        owners.insert(id, Owned { set, version, time });
    }
    Some(owners)
}

/// Whether a client asks for the owners to be forgotten: by a list of one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_some_and(|entries| matches!(&entries[..], [Value::Object(entry)] if entry.is_empty()))
}

/// Writes the owners into an object: appliers first, then by time and name.
pub(super) fn write(object: &mut Value, owners: &Owners) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let mut sorted: Vec<(&Id, &Owned)> = owners.iter().collect();
    sorted.sort_by(|(a, x), (b, y)| {
        (a.operation, &x.time, &a.name, &x.version, &a.subresource).cmp(&(
            b.operation,
            &y.time,
            &b.name,
            &y.version,
            &b.subresource,
        ))
    });
    let entries: Vec<Value> = sorted
        .into_iter()
        .map(|(id, owned)| {
            let operation = if id.operation == Operation::Apply { "Apply" } else { "Update" };
            let mut entry = json!({
                "manager": id.name,
                "operation": operation,
                "apiVersion": owned.version,
                "fieldsType": "FieldsV1",
                "fieldsV1": owned.set.to_json(),
            });
            if let Some(time) = &owned.time {
                entry["time"] = time.as_str().into();
            }
            if !id.subresource.is_empty() {
                entry["subresource"] = id.subresource.as_str().into();
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// A time as objects carry it: RFC 3339, UTC, whole seconds.
pub(super) fn stamp(now: Timestamp) -> Option<String> {
    Some(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Merges the oldest updates of a version into one entry until there are no more than [`MAX_UPDATERS`].
pub(super) fn cap(owners: &mut Owners) {
    let mut updaters: Vec<(Option<String>, Id)> = owners
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, owned)| (owned.time.clone(), id.clone()))
        .collect();
    updaters.sort();
    let mut count = updaters.len();
    let mut first: BTreeMap<String, Id> = BTreeMap::new();
    for (_, id) in updaters {
        if count <= MAX_UPDATERS {
            return;
        }
        let Some(version) = id.version.clone() else { continue };
        let Some(oldest) = first.get(&version) else {
            first.insert(version, id);
            continue;
        };
        let bucket = Id {
            name: OLD_UPDATES.to_owned(),
            operation: Operation::Update,
            version: Some(version),
            subresource: String::new(),
        };
        if !owners.contains_key(&bucket)
            && let Some(owned) = owners.remove(oldest)
        {
            owners.insert(bucket.clone(), owned);
        }
        if let (Some(owned), true) = (owners.remove(&id), id != bucket)
            && let Some(old) = owners.get_mut(&bucket)
        {
            old.set = old.set.union(&owned.set);
            old.time = owned.time;
            count -= 1;
        }
    }
}
