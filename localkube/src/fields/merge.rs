//! The structured merge of an applied configuration into the live object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    set::{Element, show},
    typed::{Form, element, form},
};
use crate::schema::Node;

/// Merges the right value into the left one: maps field by field, keyed lists item by item; where both have a leaf the
/// right one wins.
pub(super) fn merge(node: Node<'_>, left: Option<&Value>, right: Option<&Value>) -> Result<Option<Value>, String> {
    let form = form(node, right.filter(|right| !right.is_null()).or(left));
    let empty = |value: Option<&Value>| match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Null) | None => true,
        Some(_) => false,
    };
    if form.atomic() || (empty(left) && empty(right)) {
        return Ok(right.or(left).cloned());
    }
    if form == Form::Map {
        let none = Map::new();
        let left = left.and_then(Value::as_object).unwrap_or(&none);
        let right = right.and_then(Value::as_object).unwrap_or(&none);
        return merge_maps(node, left, right).map(Some);
    }
    let left = left.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let right = right.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    merge_lists(node, form, left, right).map(Some)
}

fn merge_maps(node: Node<'_>, left: &Map<String, Value>, right: &Map<String, Value>) -> Result<Value, String> {
    let mut merged = Map::new();
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    for name in names {
        let (left, right) = (left.get(name), right.get(name));
        // A field that the schema does not know can be in the live object only.
        let value = match node.child(name) {
            Some(child) => merge(child, left, right)?,
            None => left.cloned(),
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value);
        }
    }
    Ok(Value::Object(merged))
}

/// Items of both sides are merged. The order is the right side's, into which the items of the left side alone are put
/// at the places that they have between shared ones.
fn merge_lists(node: Node<'_>, form: Form<'_>, left: &[Value], right: &[Value]) -> Result<Value, String> {
    let (left_names, left_items) = index(node, form, left, true)?;
    let (right_names, right_items) = index(node, form, right, false)?;
    let mut shared = right_names.iter().filter(|name| left_items.contains_key(*name)).peekable();
    let mut taken: Vec<&Element> = Vec::new();
    let mut merged = Vec::new();
    let both = |name: &Element, merged: &mut Vec<Value>| {
        let left = left_items.get(name).copied().flatten();
        let right = right_items.get(name).copied().flatten();
        merge(node.item(), left, right).map(|value| merged.extend(value))
    };
    let (mut l, mut r) = (0, 0);
    while l < left_names.len() || r < right_names.len() {
        if let (Some(mine), Some(theirs)) = (left_names.get(l), right_names.get(r)) {
            if mine == theirs {
                taken.push(mine);
                both(mine, &mut merged)?;
                (l, r) = (l + 1, r + 1);
                shared.next();
                continue;
            }
            if right_items.contains_key(mine) && shared.peek().is_some_and(|next| *next != mine) {
                // A shared item, but its turn comes later.
                l += 1;
                continue;
            }
        }
        if let Some(mine) = left_names.get(l) {
            if !right_items.contains_key(mine) {
                merged.push(left[l].clone());
                l += 1;
                continue;
            }
            if taken.contains(&mine) {
                l += 1;
            }
        }
        if let Some(theirs) = right_names.get(r) {
            taken.push(theirs);
            both(theirs, &mut merged)?;
            r += 1;
            if shared.peek() == Some(&theirs) {
                shared.next();
            }
        }
    }
    Ok(Value::Array(merged))
}

type Index<'a> = (Vec<Element>, BTreeMap<Element, Option<&'a Value>>);

/// The items' names in order, and the items by name; of duplicates none can be merged.
fn index<'a>(node: Node<'_>, form: Form<'_>, items: &'a [Value], duplicates: bool) -> Result<Index<'a>, String> {
    let (mut names, mut by_name) = (Vec::new(), BTreeMap::new());
    for (at, item) in items.iter().enumerate() {
        let name = element(node, form, item).map_err(|words| format!("element {at}: {words}"))?;
        match by_name.get_mut(&name) {
            None => {
                by_name.insert(name.clone(), Some(item));
            }
            Some(_) if !duplicates => return Err(format!("duplicate entries for key {}", show(&name))),
            Some(found) => *found = None,
        }
        names.push(name);
    }
    Ok((names, by_name))
}
