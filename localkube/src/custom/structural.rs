//! Schemas of definitions have to be structural: what a value may be is said once, outside of all logical junctors.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

use regex::Regex;
use serde_json::Value;

use super::{defaults, rules, validate::Patterns};
use crate::{
    kinds::errors::{forbidden, invalid, required, unsupported},
    status::FieldError,
};

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// What may not be said inside a junctor.
const STRUCTURE: [&str; 10] = [
    "type",
    "title",
    "description",
    "default",
    "additionalProperties",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
];

/// Checks the schema of a version.
pub(super) fn validate(errors: &mut Vec<FieldError>, schema: &Value, path: &str) {
    match schema["type"].as_str().unwrap_or_default() {
        "" => errors.push(required(format!("{path}.type"), "must not be empty at the root")),
        "object" => {}
        other => errors.push(invalid(format!("{path}.type"), other, "must be object at the root")),
    }
    if schema["nullable"] == true {
        errors.push(forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    node(errors, schema, path, Place::Root);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Field,
    Items,
}

fn node(errors: &mut Vec<FieldError>, schema: &Value, path: &str, place: Place) {
    types(errors, schema, path, place);
    lists(errors, schema, path);
    for (name, why) in [
        ("$ref", "$ref is not supported"),
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("id", "id is not supported"),
    ] {
        if !schema[name].is_null() {
            errors.push(forbidden(format!("{path}.{name}"), why));
        }
    }
    if schema["uniqueItems"] == true {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(forbidden(format!("{path}.uniqueItems"), why));
    }
    if schema["additionalProperties"] == false {
        errors.push(forbidden(format!("{path}.additionalProperties"), "additionalProperties cannot be set to false"));
    }
    if schema["properties"].is_object() && !schema["additionalProperties"].is_null() {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(error) = Regex::new(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(invalid(format!("{path}.pattern"), pattern, &why));
    }
    default(errors, schema, path);
    expressions(errors, schema, path);
    for junctor in JUNCTORS {
        for (index, inner) in schema[junctor].as_array().into_iter().flatten().enumerate() {
            inside(errors, inner, &format!("{path}.{junctor}[{index}]"));
        }
    }
    if schema["not"].is_object() {
        inside(errors, &schema["not"], &format!("{path}.not"));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let own = place == Place::Root || schema["x-kubernetes-embedded-resource"] == true;
        // What is said of the metadata's own fields is for validation alone.
        if !(own && name == "metadata") {
            node(errors, inner, &format!("{path}.properties[{name}]"), Place::Field);
        }
    }
    if schema["additionalProperties"].is_object() {
        node(errors, &schema["additionalProperties"], &format!("{path}.additionalProperties"), Place::Field);
    }
    if schema["items"].is_object() {
        node(errors, &schema["items"], &format!("{path}.items"), Place::Items);
    }
}

fn types(errors: &mut Vec<FieldError>, schema: &Value, path: &str, place: Place) {
    let kind = schema["type"].as_str().unwrap_or_default();
    let either = schema["x-kubernetes-int-or-string"] == true;
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    match kind {
        "" if either || open || place == Place::Root => {}
        "" if place == Place::Items => {
            errors.push(required(format!("{path}.type"), "must not be empty for specified array items"));
        }
        "" => errors.push(required(format!("{path}.type"), "must not be empty for specified object fields")),
        _ if either => {
            let why = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(invalid(format!("{path}.type"), kind, why));
        }
        "array" | "boolean" | "integer" | "number" | "object" | "string" => {}
        other => {
            let known = ["array", "boolean", "integer", "number", "object", "string"];
            errors.push(unsupported(format!("{path}.type"), other, &known));
        }
    }
    if kind == "array" && !schema["items"].is_object() {
        errors.push(required(format!("{path}.items"), "must be specified"));
    }
    let structured = schema["properties"].is_object() || schema["additionalProperties"].is_object();
    if structured && !kind.is_empty() && kind != "object" {
        errors.push(invalid(format!("{path}.type"), kind, "must be object if properties are specified"));
    }
    if schema["x-kubernetes-embedded-resource"] == true && !open && !schema["properties"].is_object() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        errors.push(required(format!("{path}.properties"), why));
    }
}

fn lists(errors: &mut Vec<FieldError>, schema: &Value, path: &str) {
    let Some(kind) = schema["x-kubernetes-list-type"].as_str() else {
        if schema["x-kubernetes-list-map-keys"].is_array() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(required(format!("{path}.x-kubernetes-list-type"), why));
        }
        return;
    };
    if !["atomic", "map", "set"].contains(&kind) {
        errors.push(unsupported(format!("{path}.x-kubernetes-list-type"), kind, &["atomic", "map", "set"]));
    }
    if schema["type"] != "array" {
        let given = schema["type"].as_str().unwrap_or_default();
        errors.push(invalid(format!("{path}.type"), given, "must be array if x-kubernetes-list-type is specified"));
    }
    if kind != "map" {
        return;
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(required(format!("{path}.x-kubernetes-list-map-keys"), why));
    }
    let items = &schema["items"];
    if items.is_object() && items["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(invalid(format!("{path}.items.type"), items["type"].clone(), why));
    }
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        let property = &items["properties"][name];
        if property.is_null() {
            let at = format!("{path}.x-kubernetes-list-map-keys[{index}]");
            errors.push(invalid(at, name, "entries must all be names of item properties"));
            continue;
        }
        let needed = items["required"].as_array().is_some_and(|required| required.contains(key));
        if !needed && property["default"].is_null() {
            let at = format!("{path}.items.properties[{name}].default");
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(required(at, why));
        }
    }
}

/// A default has to be what it stands for.
fn default(errors: &mut Vec<FieldError>, schema: &Value, path: &str) {
    if schema["default"].is_null() {
        return;
    }
    let mut value = schema["default"].clone();
    defaults::complete(schema, &mut value);
    for mistake in Patterns::of(schema).check(schema, &value, None) {
        let below = if mistake.path == "<nil>" { String::new() } else { format!(".{}", mistake.path) };
        errors.push(FieldError { path: format!("{path}.default{below}"), ..mistake });
    }
}

fn expressions(errors: &mut Vec<FieldError>, schema: &Value, path: &str) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let at = format!("{path}.x-kubernetes-validations[{index}]");
        let text = rule["rule"].as_str().unwrap_or_default();
        if text.trim().is_empty() {
            errors.push(required(format!("{at}.rule"), "rule is not specified"));
        }
        for name in ["rule", "messageExpression"] {
            let text = rule[name].as_str().unwrap_or_default();
            if !text.trim().is_empty()
                && let Some(why) = rules::refusal(text)
            {
                errors.push(invalid(format!("{at}.{name}"), text, &format!("compilation failed: {why}")));
            }
        }
    }
}

fn inside(errors: &mut Vec<FieldError>, schema: &Value, path: &str) {
    for name in STRUCTURE {
        // The one exception: `anyOf` of integer and string, as it was written before there was a word for it.
        if !schema[name].is_null() && name != "type" {
            errors.push(forbidden(format!("{path}.{name}"), "must be undefined to be structural"));
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        inside(errors, inner, &format!("{path}.properties[{name}]"));
    }
}
