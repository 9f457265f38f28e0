//! What differs between two versions of an object, as sets of fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    set::{Element, Set, field},
    typed::{Form, element, form},
};
use crate::schema::Node;

/// The fields that differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Comparison {
    pub(super) fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without the fields that are below a set's.
    pub(super) fn without(&self, set: &Set) -> Self {
        Self {
            added: self.added.recursive_difference(set),
            modified: self.modified.recursive_difference(set),
            removed: self.removed.recursive_difference(set),
        }
    }
}

/// Compares two versions of an object.
pub(super) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    visit(node, Some(old), Some(new), &mut Vec::new(), &mut comparison);
    comparison
}

/// One of the two is there.
fn visit(
    node: Node<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Element>,
    comparison: &mut Comparison,
) {
    let form = form(node, new.filter(|new| !new.is_null()).or(old));
    let empty = |value: Option<&Value>| match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Null) | None => true,
        Some(_) => false,
    };
    // Two empty ones are a leaf, so that empty and null stay apart.
    if form.atomic() || (empty(old) && empty(new)) {
        if let (Some(old), Some(new)) = (old, new) {
            if !equal(old, new) {
                comparison.modified.insert(path);
            }
            return;
        }
    } else if form == Form::Map {
        let none = Map::new();
        let old_map = old.and_then(Value::as_object).unwrap_or(&none);
        let new_map = new.and_then(Value::as_object).unwrap_or(&none);
        for name in old_map.keys().chain(new_map.keys().filter(|name| !old_map.contains_key(*name))) {
            if let Some(child) = node.child(name) {
                path.push(field(name));
                visit(child, old_map.get(name), new_map.get(name), path, comparison);
                path.pop();
            }
        }
    } else {
        visit_items(node, form, (old, new), path, comparison);
    }
    match (old, new) {
        (None, _) => comparison.added.insert(path),
        (_, None) => comparison.removed.insert(path),
        _ => {}
    }
}

fn visit_items(
    node: Node<'_>,
    form: Form<'_>,
    (old, new): (Option<&Value>, Option<&Value>),
    path: &mut Vec<Element>,
    comparison: &mut Comparison,
) {
    let mut groups: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    let items = |value: Option<&'_ Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..items(old) {
        let item = old.and_then(|old| old.get(index));
        if let Some((name, item)) = item.and_then(|item| Some((element(node, form, item).ok()?, item))) {
            groups.entry(name).or_default().0.push(item);
        }
    }
    for index in 0..items(new) {
        let item = new.and_then(|new| new.get(index));
        if let Some((name, item)) = item.and_then(|item| Some((element(node, form, item).ok()?, item))) {
            groups.entry(name).or_default().1.push(item);
        }
    }
    for (name, (old, new)) in groups {
        path.push(name);
        match (&old[..], &new[..]) {
            ([] | [_], [] | [_]) => {
                visit(node.item(), old.first().copied(), new.first().copied(), path, comparison);
            }
            // Duplicates on both sides are compared as a whole.
            ([_, _, ..], [_, _, ..]) => {
                if old != new {
                    comparison.modified.insert(path);
                }
            }
            ([_, _, ..], rest) => {
                if let Some(item) = rest.first() {
                    visit(node.item(), None, Some(item), path, comparison);
                }
                comparison.removed.insert(path);
            }
            (rest, _) => {
                if let Some(item) = rest.first() {
                    visit(node.item(), Some(item), None, path, comparison);
                }
                comparison.added.insert(path);
            }
        }
        path.pop();
    }
}

/// Equality of structured-merge-diff: numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
