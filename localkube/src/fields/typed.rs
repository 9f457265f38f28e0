//! Values read by a schema as structured-merge-diff reads them: the set of their fields, the check, the merge and the
//! removal of fields. The comparison of two is in [`super::compare`].

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

use super::set::{Element, Set, field, show};
use crate::schema::{Node, Scalar, Shape};

/// What a value is made of at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    Scalar,
    AtomicMap,
    AtomicList,
    Map,
    Set,
    Keyed(&'a [Cow<'static, str>]),
}

impl Form<'_> {
    pub(super) fn atomic(self) -> bool {
        matches!(self, Self::Scalar | Self::AtomicMap | Self::AtomicList)
    }
}

/// The form at a place; where the schema does not say, the value does.
pub(super) fn form<'a>(node: Node<'a>, value: Option<&Value>) -> Form<'a> {
    match (node.shape(), value) {
        (Shape::AtomicMap, _) => Form::AtomicMap,
        (Shape::AtomicList, _) => Form::AtomicList,
        (Shape::Map, _) | (Shape::Deduced, Some(Value::Object(_))) => Form::Map,
        (Shape::Set, _) => Form::Set,
        (Shape::Keyed(keys), _) => Form::Keyed(keys),
        (Shape::Deduced, Some(Value::Array(_))) => Form::AtomicList,
        (Shape::Scalar(_) | Shape::Untyped | Shape::Deduced, _) => Form::Scalar,
    }
}

/// How a list's item is called in paths.
pub(super) fn element(node: Node<'_>, form: Form<'_>, item: &Value) -> Result<Element, String> {
    let Form::Keyed(keys) = form else {
        return match item {
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            scalar => Ok(format!("v:{scalar}")),
        };
    };
    let map = match item {
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        Value::Object(map) => map,
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut key = Map::new();
    for name in keys {
        let default = || {
            let field = node.item().child(name)?.field?;
            field.default.clone()
        };
        let value = map.get(name.as_ref()).cloned().or_else(default).ok_or_else(|| {
            let rule = "and doesn't have default value";
            format!("associative list with keys has an element that omits key field \"{name}\" ({rule})")
        })?;
        key.insert(name.to_string(), value);
    }
    Ok(format!("k:{}", Value::Object(key)))
}

/// The fields of a value: what an applier of it owns.
pub(super) fn fields_of(node: Node<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    collect(node, value, &mut Vec::new(), &mut set);
    set
}

fn collect(node: Node<'_>, value: &Value, path: &mut Vec<Element>, set: &mut Set) {
    match (form(node, Some(value)), value) {
        (Form::Map, Value::Object(map)) => {
            for (name, inner) in map {
                let child = node.child(name);
                path.push(field(name));
                if let Some(child) = child {
                    collect(child, inner, path, set);
                }
                let named = child.is_some_and(|child| child.field.is_some());
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                if empty || !named {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (list @ (Form::Set | Form::Keyed(_)), Value::Array(items)) => {
            let mut groups: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
            for item in items {
                if let Ok(name) = element(node, list, item) {
                    groups.entry(name).or_default().push(item);
                }
            }
            for (name, items) in groups {
                path.push(name);
                // Of items that are there twice only the fact is known, not whose fields are whose.
                if let [item] = items[..] {
                    collect(node.item(), item, path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
        (form, _) if form.atomic() => set.insert(path),
        _ => {}
    }
}

/// Every way in which a configuration does not fit its schema, worded as structured-merge-diff words it.
pub(super) fn check(node: Node<'_>, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check_at(node, value, "", &mut errors);
    errors
}

fn check_at(node: Node<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    let mut fail = |words: String| errors.push(if path.is_empty() { words } else { format!("{path}: {words}") });
    match node.shape() {
        Shape::Untyped | Shape::Deduced => {}
        Shape::Scalar(scalar) => {
            if let Some(words) = scalar_error(scalar, value) {
                fail(words);
            }
        }
        Shape::Map | Shape::AtomicMap => {
            let Value::Object(map) = value else { return fail(format!("expected map, got {}", plain(value))) };
            for (name, inner) in map {
                match node.child(name) {
                    Some(child) => check_at(child, inner, &format!("{path}.{name}"), errors),
                    None => {
                        errors.push(format!("{path}.{name}: field not declared in schema"));
                        break;
                    }
                }
            }
        }
        Shape::AtomicList | Shape::Set | Shape::Keyed(_) => {
            let Value::Array(items) = value else { return fail(format!("expected list, got {}", plain(value))) };
            let list = form(node, Some(value));
            let mut seen: Vec<Element> = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let name = match list {
                    Form::AtomicList => Ok(format!("i:{index}")),
                    list => element(node, list, item),
                };
                match name {
                    Err(words) => {
                        let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
                        errors.push(format!("{at}element {index}: {words}"));
                        break;
                    }
                    Ok(name) => {
                        if seen.contains(&name) {
                            errors.push(format!("{path}: duplicate entries for key {}", show(&name)));
                        }
                        check_at(node.item(), item, &format!("{path}{}", show(&name)), errors);
                        seen.push(name);
                    }
                }
            }
        }
    }
}

fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    match scalar {
        Scalar::String | Scalar::Duration | Scalar::Bytes if !value.is_string() => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)))
        }
        Scalar::Int32 | Scalar::Int64 | Scalar::Double if !value.is_number() => {
            let kind = match value {
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                Value::Array(_) => "[]interface {}",
                _ => "map[string]interface {}",
            };
            Some(format!("expected numeric (int or float), got {kind}"))
        }
        Scalar::Bool if !value.is_boolean() => Some(format!("expected boolean, got {}", plain(value))),
        Scalar::Quantity | Scalar::IntOrString | Scalar::Time | Scalar::MicroTime
            if value.is_object() || value.is_array() =>
        {
            Some(format!("expected any scalar, got {}", plain(value)))
        }
        _ => None,
    }
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let fields: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A wrapped value as Go's `%v` prints it.
fn plain(value: &Value) -> String {
    format!("&{{{}}}", crate::patch::go_format(value))
}

/// The value without the paths of a set. A map or list that gets empty by it becomes null.
pub(super) fn without(node: Node<'_>, value: &Value, set: &Set) -> Value {
    match (form(node, Some(value)), value) {
        (Form::Map, Value::Object(map)) => {
            let kept: Map<String, Value> = map
                .iter()
                .filter(|(name, _)| !set.has(&field(name)))
                .map(|(name, inner)| {
                    let inner = match (set.below(&field(name)), node.child(name)) {
                        (Some(below), Some(child)) => without(child, inner, below),
                        _ => inner.clone(),
                    };
                    (name.clone(), inner)
                })
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (list @ (Form::Set | Form::Keyed(_)), Value::Array(items)) => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| match element(node, list, item) {
                    Ok(name) if set.has(&name) => None,
                    Ok(name) => Some(match set.below(&name) {
                        Some(below) => without(node.item(), item, below),
                        None => item.clone(),
                    }),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Form::AtomicMap | Form::AtomicList, _) => Value::Null,
        _ => value.clone(),
    }
}
