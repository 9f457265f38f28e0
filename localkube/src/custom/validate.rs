//! Objects against the OpenAPI schema of their definition, in the API server's words.
//!
//! The order of the rules is that of `k8s.io/kube-openapi/pkg/validation/validate`. What an update leaves as it was is
//! not asked again (KEP-4008).

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

use super::{
    defaults::property,
    formats,
    paths::{error, field, former},
    prune::OWN,
};
use crate::status::{FieldError, FieldErrorKind};

/// The compiled patterns of a schema.
#[derive(Debug)]
pub(super) struct Patterns(HashMap<String, Regex>);

impl Patterns {
    pub(super) fn of(schema: &Value) -> Self {
        let mut patterns = HashMap::new();
        collect(schema, &mut patterns);
        Self(patterns)
    }

    /// Every way in which a value does not fit; `old` is what was there before.
    pub(super) fn check(&self, schema: &Value, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.visit(schema, value, old, ("", true), &mut errors);
        errors
    }

    /// `at`: the path, and whether it is the root or an embedded resource.
    fn visit(
        &self,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        at: (&str, bool),
        errors: &mut Vec<FieldError>,
    ) {
        let path = at.0;
        if old == Some(value) || (value.is_null() && schema["nullable"] == true) {
            return;
        }
        if let Some(expected) = mistyped(schema, value) {
            let given = type_name(value);
            let message = format!("Invalid value: \"{given}\": {path} in body must be of type {expected}: \"{given}\"");
            errors.push(error(path, FieldErrorKind::TypeInvalid, message));
        }
        self.junctors(schema, value, at, errors);
        match value {
            Value::String(text) => self.text(schema, text, path, errors),
            Value::Number(_) => numbers(schema, value, path, errors),
            Value::Array(items) => {
                lengths(schema, items, path, errors);
                for (index, item) in items.iter().enumerate() {
                    let (of, old) = (&schema["items"], former(schema, old, item));
                    self.visit(of, item, old, (&format!("{path}[{index}]"), is_whole(of)), errors);
                }
            }
            _ => {}
        }
        let allowed = schema["enum"].as_array();
        if let Some(allowed) = allowed.filter(|allowed| !allowed.iter().any(|one| same(one, value))) {
            let allowed: Vec<String> = allowed.iter().map(quoted).collect();
            let message = format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
            errors.push(error(path, FieldErrorKind::NotSupported, message));
        }
        if let Value::Object(map) = value {
            properties(schema, map, path, errors);
            for (name, inner) in map.iter().filter(|(name, _)| !(at.1 && OWN.contains(&name.as_str()))) {
                if let Some(of) = property(schema, name) {
                    let old = old.and_then(|old| old.get(name));
                    self.visit(of, inner, old, (&field(path, name), is_whole(of)), errors);
                }
            }
        }
    }

    fn junctors(&self, schema: &Value, value: &Value, at: (&str, bool), errors: &mut Vec<FieldError>) {
        let of = |schema: &Value| {
            let mut errors = Vec::new();
            self.visit(schema, value, None, at, &mut errors);
            errors
        };
        let mut fail = |words: &str| {
            let message = format!("Invalid value: \"\": {:?} must {words}", at.0);
            errors.push(error(at.0, FieldErrorKind::Invalid, message));
        };
        if let Some(all) = schema["anyOf"].as_array() {
            let mut results: Vec<_> = all.iter().map(of).collect();
            if results.iter().all(|errors| !errors.is_empty()) {
                fail("validate at least one schema (anyOf)");
                errors.extend(results.drain(..1).flatten());
            }
        }
        let mut fail = |words: &str| {
            let message = format!("Invalid value: \"\": {:?} must {words}", at.0);
            errors.push(error(at.0, FieldErrorKind::Invalid, message));
        };
        if let Some(all) = schema["oneOf"].as_array() {
            match all.iter().filter(|schema| of(schema).is_empty()).count() {
                1 => {}
                0 => fail("validate one and only one schema (oneOf). Found none valid"),
                valid => {
                    fail(&format!("validate one and only one schema (oneOf). Found {valid} valid alternatives"));
                }
            }
        }
        if schema["not"].is_object() && of(&schema["not"]).is_empty() {
            fail("not validate the schema (not)");
        }
        if let Some(all) = schema["allOf"].as_array() {
            let failures: Vec<FieldError> = all.iter().flat_map(of).collect();
            if !failures.is_empty() {
                fail("validate all the schemas (allOf)");
                errors.extend(failures);
            }
        }
    }

    fn text(&self, schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        let shown = Value::from(text);
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            let message = format!("Too long: may not be more than {most} bytes");
            errors.push(error(path, FieldErrorKind::TooLong, message));
        }
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            let message = format!("Invalid value: {shown}: {path} in body should be at least {least} chars long");
            errors.push(error(path, FieldErrorKind::Invalid, message));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && self.0.get(pattern).is_some_and(|compiled| !compiled.is_match(text))
        {
            let message = format!("Invalid value: {shown}: {path} in body should match '{pattern}'");
            errors.push(error(path, FieldErrorKind::Invalid, message));
        }
        if let Some(format) = schema["format"].as_str().filter(|format| !formats::fits(format, text)) {
            let message = format!("Invalid value: {shown}: {path} in body must be of type {format}: {shown}");
            errors.push(error(path, FieldErrorKind::TypeInvalid, message));
        }
    }
}

fn collect(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern")
                && let Ok(compiled) = Regex::new(pattern)
            {
                patterns.insert(pattern.clone(), compiled);
            }
            map.values().for_each(|inner| collect(inner, patterns));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, patterns)),
        _ => {}
    }
}

fn is_whole(schema: &Value) -> bool {
    schema["x-kubernetes-embedded-resource"] == true
}

/// The types that a value should have and has not.
fn mistyped(schema: &Value, value: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        return (!value.is_string() && !is_integer(value)).then(|| "integer,string".to_owned());
    }
    let expected = schema["type"].as_str()?;
    let fits = match expected {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => is_integer(value),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!fits).then(|| expected.to_owned())
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equal, with 1 and 1.0 the same.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && other.is_number() && one.as_f64() == other.as_f64())
}

/// A supported value as lists of them have it.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => format!("\"{other}\""),
    }
}

fn numbers(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = value.as_f64() else { return };
    let mut fail = |kind: FieldErrorKind, words: String| {
        errors.push(error(path, kind, format!("Invalid value: {value}: {path} in body {words}")));
    };
    if let Some(format) = schema["format"].as_str().filter(|format| !formats::holds(format, number)) {
        let kind = schema["type"].as_str().unwrap_or("number");
        fail(FieldErrorKind::Invalid, format!("should be of type {kind} with format {format}"));
    }
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| (number / factor).fract() != 0.0) {
        fail(FieldErrorKind::Invalid, format!("should be a multiple of {factor}"));
    }
    if let Some(most) = schema["maximum"].as_f64() {
        match schema["exclusiveMaximum"] == true {
            true if number >= most => fail(FieldErrorKind::Invalid, format!("should be less than {most}")),
            false if number > most => fail(FieldErrorKind::Invalid, format!("should be less than or equal to {most}")),
            _ => {}
        }
    }
    if let Some(least) = schema["minimum"].as_f64() {
        match schema["exclusiveMinimum"] == true {
            true if number <= least => fail(FieldErrorKind::Invalid, format!("should be greater than {least}")),
            false if number < least => {
                fail(FieldErrorKind::Invalid, format!("should be greater than or equal to {least}"));
            }
            _ => {}
        }
    }
}

fn lengths(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let shown = || Value::from(items.to_vec());
    if let Some(least) = schema["minItems"].as_u64().filter(|least| count < *least) {
        let message = format!("Invalid value: {count}: {path} in body should have at least {least} items");
        errors.push(error(path, FieldErrorKind::Invalid, message));
    }
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        errors.push(error(path, FieldErrorKind::TooMany, message));
    }
    let repeated = items.iter().enumerate().any(|(index, item)| items[..index].contains(item));
    if schema["uniqueItems"] == true && repeated {
        let message = format!("Invalid value: {}: {path} in body shouldn't contain duplicates", shown());
        errors.push(error(path, FieldErrorKind::Invalid, message));
    }
}

fn properties(schema: &Value, map: &serde_json::Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let count = u64::try_from(map.len()).unwrap_or(u64::MAX);
    if let Some(least) = schema["minProperties"].as_u64().filter(|least| count < *least) {
        let message = format!("Invalid value: {count}: {path} in body should have at least {least} properties");
        errors.push(error(path, FieldErrorKind::Invalid, message));
    }
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        errors.push(error(path, FieldErrorKind::TooMany, message));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            errors.push(error(&field(path, name), FieldErrorKind::Required, "Required value"));
        }
    }
}
