//! Paths of `replacements`: `spec.containers.[name=app].env.0.value`, with `*` for every item of a list.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// The text of a scalar.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Splits a path at its dots, but not inside of brackets, nor at `\\.`.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        let part = parts.last_mut().expect("there is one from the start");
        match character {
            '\\' if characters.peek() == Some(&'.') => part.extend(characters.next()),
            '.' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = match character {
                    '[' => depth + 1,
                    ']' => depth.saturating_sub(1),
                    _ => depth,
                };
                part.push(character);
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// `[name=app]` into its two sides; `[=app]` is about the items themselves.
fn bracket(part: &str) -> Option<(&str, &str)> {
    part.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

/// What one part of a path leads to; of a list the first item that fits.
pub(super) fn get<'value>(value: &'value Value, part: &str) -> Option<&'value Value> {
    match value {
        Value::Array(items) => match bracket(part) {
            Some((field, text)) => items.iter().find(|item| {
                let item = if field.is_empty() { Some(*item) } else { item.get(field) };
                item.and_then(scalar).is_some_and(|found| found == text)
            }),
            None if part == "-" => items.last(),
            None => items.get(part.parse::<usize>().ok()?),
        },
        value => value.get(part),
    }
}

/// Visits what a path leads to, makes it if `create` gives an example of it, and counts.
pub(super) fn visit(
    value: &mut Value,
    path: &[String],
    create: Option<&Value>,
    fresh: bool,
    visitor: &mut dyn FnMut(&mut Value, bool) -> Result<(), String>,
) -> Result<usize, String> {
    let Some((part, rest)) = path.split_first() else {
        visitor(value, fresh)?;
        return Ok(1);
    };
    let number = part.parse::<usize>().ok();
    if let Some((field, pattern)) = bracket(part) {
        let items = list(value)?;
        let pattern_of = Regex::new(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        let mut count = 0;
        for item in items.iter_mut() {
            let found = if field.is_empty() { Some(&*item) } else { item.get(field) };
            if found.and_then(scalar).is_some_and(|found| pattern_of.is_match(&found)) {
                count += visit(item, rest, create, fresh, visitor)?;
            }
        }
        if count == 0 && create.is_some() {
            let mut item = Value::String(pattern.to_owned());
            if !field.is_empty() {
                item = Value::Object(Map::from_iter([(field.to_owned(), item)]));
            }
            items.push(item);
            let item = items.last_mut().expect("pushed just now");
            count = visit(item, rest, create, true, visitor)?;
        }
        return Ok(count);
    }
    if let (Some(index), true) = (number, value.is_array()) {
        let items = list(value)?;
        let is_new = index == items.len() && create.is_some();
        if is_new {
            items.push(empty(rest, create));
        }
        let count = items.len();
        let item = items.get_mut(index).ok_or_else(|| format!("there is no index {index}, only {count} items"))?;
        return visit(item, rest, create, is_new, visitor);
    }
    if part == "*" {
        let mut count = 0;
        for item in list(value)? {
            count += visit(item, rest, create, fresh, visitor)?;
        }
        return Ok(count);
    }
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Array(_) => return Err(format!("`{part}` is a field, and around it is a list")),
        _ => return Err(format!("`{part}` is inside of a text; such a path is not supported")),
    };
    let is_new = !fields.contains_key(part);
    if is_new {
        if create.is_none() {
            return Ok(0);
        }
        fields.insert(part.clone(), empty(rest, create));
    }
    visit(&mut fields[part.as_str()], rest, create, is_new, visitor)
}

fn list(value: &mut Value) -> Result<&mut Vec<Value>, String> {
    value.as_array_mut().ok_or_else(|| "a list is expected on the way".to_owned())
}

/// What is made on the way: what the next part of the path goes into.
fn empty(rest: &[String], create: Option<&Value>) -> Value {
    match (rest.first(), create) {
        (None, Some(Value::Object(_))) => Value::Object(Map::new()),
        (None, Some(Value::Array(_))) => Value::Array(Vec::new()),
        (None, _) => Value::Null,
        (Some(part), _) if bracket(part).is_some() || part.parse::<usize>().is_ok() => Value::Array(Vec::new()),
        (Some(_), _) => Value::Object(Map::new()),
    }
}
