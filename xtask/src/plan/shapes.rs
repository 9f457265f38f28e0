//! Objects that are made alike, or change alike: a deploy of hundreds asks the server about one of each shape, since
//! the apply itself asks about all.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{FieldDiff, ObjectRef, managers};

/// The shapes that were met.
#[derive(Default)]
pub(super) struct Shapes {
    new: Mutex<HashSet<u64>>,
    /// Of changes, whether the server's answer about the first was what we had expected.
    changes: Mutex<HashMap<u64, Arc<OnceCell<bool>>>>,
}

impl Shapes {
    /// Whether a new object is the first of its shape.
    pub(super) fn is_first(&self, object: &ObjectRef, desired: &Value) -> bool {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(new(object, desired))
    }

    /// What is known of changes that are as this one.
    pub(super) fn of_change(&self, object: &ObjectRef, live: &Value, fields: &[FieldDiff]) -> Arc<OnceCell<bool>> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.entry(change(object, live, fields)).or_default().clone()
    }
}

/// What new objects of one making have in common: all but the values, and the keys where anything may be a key.
fn new(object: &ObjectRef, desired: &Value) -> u64 {
    fn walk(value: &Value, hasher: &mut DefaultHasher) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    key.hash(hasher);
                    match key.as_str() {
                        "data" | "binaryData" | "stringData" | "labels" | "annotations" => {}
                        _ => walk(value, hasher),
                    }
                }
                '}'.hash(hasher);
            }
            Value::Array(items) => {
                items.iter().for_each(|item| walk(item, hasher));
                ']'.hash(hasher);
            }
            Value::String(_) => 's'.hash(hasher),
            Value::Number(_) => 'n'.hash(hasher),
            Value::Bool(_) => 'b'.hash(hasher),
            Value::Null => '0'.hash(hasher),
        }
    }
    let mut hasher = DefaultHasher::new();
    (&object.api_version, &object.kind, &object.namespace).hash(&mut hasher);
    walk(desired, &mut hasher);
    hasher.finish()
}

/// What changes of one kind have in common: the fields that change, and what others own of the objects.
fn change(object: &ObjectRef, live: &Value, fields: &[FieldDiff]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&object.api_version, &object.kind, &object.namespace).hash(&mut hasher);
    for field in fields {
        (&field.path, field.before.is_some(), field.after.is_some()).hash(&mut hasher);
    }
    for entry in managers::of_others(live) {
        (entry["manager"].as_str(), entry["operation"].as_str()).hash(&mut hasher);
        entry["fieldsV1"].to_string().hash(&mut hasher);
    }
    hasher.finish()
}
