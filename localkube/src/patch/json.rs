//! RFC 6902 as evanphx/json-patch does it, which the API server uses: `replace` of an absent member adds it.

use serde_json::{Value, json};

use super::go_format;
use crate::{
    schema::{ParseError, json_kind, parse_json},
    status::Status,
};

/// More operations than this are refused, as by the API server.
const MAX_OPERATIONS: usize = 10_000;

pub(super) fn apply(live: &Value, body: &[u8]) -> Result<(Value, Vec<String>), Status> {
    let malformed = |error: &str| Status::bad_request(format!("error decoding patch: {error}"));
    let parsed = parse_json(body).map_err(|ParseError(error)| malformed(&error))?;
    let wrong = |value: &Value, go: &str| {
        malformed(&format!("json: cannot unmarshal {} into Go value of type {go}", json_kind(value)))
    };
    let operations = match &parsed.value {
        Value::Array(operations) => operations,
        other => return Err(wrong(other, "[]handlers.jsonPatchOp")),
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(wrong(other, "handlers.jsonPatchOp"));
    }
    if operations.len() > MAX_OPERATIONS {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            go_format(&operations.len().into())
        );
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    let mut object = live.clone();
    for operation in operations {
        // The API server does not tell which operation failed, nor why.
        step(&mut object, operation).ok_or_else(|| Status {
            code: 422,
            reason: "Invalid",
            message: "the server rejected our request due to an error in our request".to_owned(),
            details: Some(json!({})),
            warnings: Vec::new(),
        })?;
    }
    Ok((object, parsed.duplicates))
}

fn step(object: &mut Value, operation: &Value) -> Option<()> {
    let pointer = |name: &str| operation.get(name)?.as_str().filter(|path| path.is_empty() || path.starts_with('/'));
    let path = pointer("path")?;
    // An operation without a value has null for one.
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match operation.get("op")?.as_str()? {
        "add" => add(object, path, value()),
        "remove" => remove(object, path).map(|_| ()),
        "replace" => replace(object, path, value()),
        "move" => {
            let moved = remove(object, pointer("from")?)?;
            add(object, path, moved)
        }
        "copy" => {
            let copied = object.pointer(pointer("from")?)?.clone();
            add(object, path, copied)
        }
        "test" => {
            let expected = value();
            match object.pointer(path) {
                Some(found) => (*found == expected).then_some(()),
                None => expected.is_null().then_some(()),
            }
        }
        _ => None,
    }
}

/// The container that a path's last part is in, and that part unescaped.
fn parent<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((object.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

/// An index of a list; negative ones count from the end.
fn index(text: &str, length: usize) -> Option<usize> {
    let number: i64 = text.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if number < 0 { number + length } else { number }).ok()
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    match parent(object, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
            Some(())
        }
        (Value::Array(items), name) if name == "-" => {
            items.push(value);
            Some(())
        }
        (Value::Array(items), name) => {
            let at = index(&name, items.len() + 1).filter(|at| *at <= items.len())?;
            items.insert(at, value);
            Some(())
        }
        _ => None,
    }
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(items), name) => {
            let at = index(&name, items.len()).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    match parent(object, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
            Some(())
        }
        (Value::Array(items), name) => {
            let at = index(&name, items.len())?;
            *items.get_mut(at)? = value;
            Some(())
        }
        _ => None,
    }
}
