//! Strategic merge patch: lists merged by key, and directives (`$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`,
//! `$retainKeys`). The rules: Kubernetes' sig-api-machinery/strategic-merge-patch.md, and what its server answers.

use serde_json::{Map, Value};

use super::go_format;
use crate::{
    schema::{Node, Schema},
    status::Status,
};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

pub(super) fn apply(schema: &Schema, live: &Value, patch: &Value) -> Result<Value, Status> {
    let original = live.as_object().cloned().unwrap_or_default();
    let patch = patch.as_object().cloned().unwrap_or_default();
    merge_map(original, patch, schema.root()).map(Value::Object)
}

fn bad_request(message: &str) -> Status {
    Status::bad_request(message)
}

/// The API server has no reason of its own for these.
fn internal(message: String) -> Status {
    Status::new(500, "", message)
}

fn unknown_directive(directive: &Value, map: &Object) -> Status {
    let map = go_format(&Value::Object(map.clone()));
    internal(format!("unknown patch type: {} in map: {map}", go_format(directive)))
}

fn no_merge_key(map: &Object, key: &str) -> Status {
    let map = go_format(&Value::Object(map.clone()));
    internal(format!("map: {map} does not contain declared merge key: {key}"))
}

fn merge_map(mut original: Object, mut patch: Object, node: Node<'_>) -> Result<Object, Status> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(&mut original, &mut patch, node)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_PRIMITIVES) {
            delete_primitives(&mut original, list, &value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let child = node.child(&name);
        let strategy = child.and_then(|child| child.field).map(|field| &field.patch);
        let merged = match (original.remove(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => match child {
                Some(child) if !strategy.is_some_and(|strategy| strategy.replace) => {
                    Value::Object(merge_map(old, new, child)?)
                }
                _ => Value::Object(new),
            },
            (Some(Value::Array(old)), Value::Array(new)) => Value::Array(merge_list(old, new, child)?),
            (_, new) => match without_directives(new) {
                Some(new) => new,
                None => continue,
            },
        };
        original.insert(name, merged);
    }
    Ok(original)
}

/// A value that has nothing to be merged with: what would be deleted goes, directives go, nulls go.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut map) => {
            if map.remove(PATCH).is_some_and(|directive| directive == "delete") {
                return None;
            }
            map.retain(|name, value| {
                name != RETAIN_KEYS
                    && !name.starts_with(DELETE_PRIMITIVES)
                    && !name.starts_with(ORDER)
                    && !value.is_null()
            });
            let map = map.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(map.collect()))
        }
        Value::Array(items) => {
            // An item that is the replace directive alone is no item.
            let only_directive =
                |item: &Value| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
            let items = items.into_iter().filter(|item| !only_directive(item)).filter_map(without_directives);
            Some(Value::Array(items.collect()))
        }
        other => Some(other),
    }
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Status> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(malformed)?;
    let kept = |name: &str| keys.iter().any(|key| key == name);
    let directive = |name: &str| name.starts_with(DELETE_PRIMITIVES) || name.starts_with(ORDER);
    if patch.iter().any(|(name, value)| !value.is_null() && !directive(name) && !kept(name)) {
        return Err(malformed());
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

fn delete_primitives(original: &mut Object, name: &str, values: &Value) -> Result<(), Status> {
    let malformed = || bad_request("invalid patch format of primitive list");
    let values = values.as_array().ok_or_else(malformed)?;
    if let Some(Value::Array(items)) = original.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

/// Merges the lists whose order the patch gives, and takes them out of the patch.
fn merge_ordered_lists(original: &mut Object, patch: &mut Object, node: Node<'_>) -> Result<(), Status> {
    let names: Vec<String> = patch.keys().filter_map(|name| name.strip_prefix(ORDER)).map(str::to_owned).collect();
    for name in names {
        let malformed = || bad_request("invalid patch format of setElementOrder list");
        let order = patch.remove(&format!("{ORDER}{name}"));
        let order = order.as_ref().and_then(Value::as_array).ok_or_else(malformed)?;
        let list = |value: Option<Value>| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(malformed()),
        };
        let child = node.child(&name);
        let key = child.and_then(|child| child.field).and_then(|field| field.patch.key);
        let (live, wanted) = (list(original.remove(&name))?, list(patch.remove(&name))?);
        check_order(wanted.as_deref().unwrap_or_default(), order, key)?;
        let before = live.clone().unwrap_or_default();
        let merged = match (live, wanted) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(wanted)) => match without_directives(Value::Array(wanted)) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
            (Some(live), Some(wanted)) => merge_list(live, wanted, child)?,
        };
        original.insert(name, Value::Array(in_order(merged, order, &before, key)));
    }
    Ok(())
}

/// Every item of the patch that is not deleted must be in the order list, in the same order.
fn check_order(wanted: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Status> {
    let mut rest = order.iter();
    let deleted = |item: &&Value| item.get(PATCH).is_none();
    for item in wanted.iter().filter(deleted) {
        if !rest.any(|place| same(place, item, key)) {
            let lists = (go_format(&Value::Array(order.to_vec())), go_format(&Value::Array(wanted.to_vec())));
            return Err(internal(format!(
                "The order in patch list:\n{}\n doesn't match {ORDER} list:\n{}\n",
                lists.1, lists.0
            )));
        }
    }
    Ok(())
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) if a.is_object() && b.is_object() => a.get(key).is_some() && a.get(key) == b.get(key),
        _ => a == b,
    }
}

fn merge_list(original: Vec<Value>, patch: Vec<Value>, node: Option<Node<'_>>) -> Result<Vec<Value>, Status> {
    let strategy = node.and_then(|node| node.field).map(|field| &field.patch);
    let Some(strategy) = strategy.filter(|strategy| strategy.merge) else { return Ok(patch) };
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let maps = original.iter().chain(&patch).filter(|item| item.is_object()).count();
    if maps == 0 {
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(in_order(merged, &patch, &original, None));
    }
    if maps < original.len() + patch.len() {
        return Err(internal("list element types are not identical".to_owned()));
    }
    let (Some(key), Some(node)) = (strategy.key, node) else {
        return Err(internal("cannot merge lists without merge key".to_owned()));
    };
    let (live, wanted) = directives(original.clone(), patch.clone(), key)?;
    let merged = match wanted {
        None => live,
        Some(wanted) => merge_items(live, wanted, key, node.item())?,
    };
    Ok(in_order(merged, &patch, &original, Some(key)))
}

/// Carries out the directives among a list's items. Without a second list the first one is the result.
fn directives(mut live: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Option<Vec<Value>>), Status> {
    let (mut wanted, mut replace) = (Vec::new(), false);
    for item in patch {
        let Some(map) = item.as_object() else { continue };
        match map.get(PATCH) {
            None => wanted.push(item),
            Some(Value::String(directive)) if directive == "delete" => {
                let value = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                live.retain(|item| item.get(key) != Some(value));
            }
            Some(Value::String(directive)) if directive == "replace" => replace = true,
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(internal("merging lists cannot yet be specified in the patch".to_owned()));
            }
            Some(other) => return Err(unknown_directive(other, map)),
        }
    }
    Ok(if replace { (wanted, None) } else { (live, Some(wanted)) })
}

fn merge_items(mut live: Vec<Value>, wanted: Vec<Value>, key: &str, node: Node<'_>) -> Result<Vec<Value>, Status> {
    for item in wanted {
        let Value::Object(map) = item else { continue };
        let value = map.get(key).ok_or_else(|| no_merge_key(&map, key))?;
        match live.iter_mut().find(|item| item.get(key) == Some(value)) {
            Some(found) => {
                let old = found.as_object().cloned().unwrap_or_default();
                *found = Value::Object(merge_map(old, map, node)?);
            }
            None => live.extend(without_directives(Value::Object(map))),
        }
    }
    Ok(live)
}

/// Orders a merged list: the items of the patch as the patch has them, those that only the server has placed among
/// them by the order that the live list had.
fn in_order(merged: Vec<Value>, order: &[Value], live: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
    let (mut ours, mut theirs): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    ours.sort_by_key(|item| place(order, item));
    theirs.sort_by_key(|item| place(live, item));
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut all = Vec::new();
    while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
        let before = match (place(live, their), place(live, our)) {
            (Some(their), Some(our)) => their < our,
            _ => false,
        };
        all.extend(if before { theirs.next() } else { ours.next() });
    }
    all.extend(ours);
    all.extend(theirs);
    all
}
