//! The JSON Schema of environments, for editors: made of what the reader asks for, with the words of the references.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    DIRECTORY, environment,
    fields::{Facts, Findings, Probe, Shape},
    located::{self, Node, Value as Located},
};
use crate::error::{Error, Result};

/// The files whose comments describe the keys; the first that has a key counts.
const REFERENCES: [&str; 4] = ["reference", "reference-aws", "reference-subnets", "reference-services"];

/// The schema, as it is written to infra-config/schema.json.
///
/// # Errors
/// A reference cannot be read.
pub fn schema(root: &Path) -> Result<String> {
    let facts = facts(root);
    let mut words = BTreeMap::new();
    for name in REFERENCES {
        let file = format!("{DIRECTORY}/{name}.yaml");
        let failed = || Error::failed(format!("read {file}"));
        let text = fs::read_to_string(root.join(&file)).map_err(|error| failed().source(&error))?;
        let node = located::parse(&text).map_err(|error| failed().cause(error.message))?;
        let lines: Vec<&str> = text.lines().collect();
        if let Some(node) = node {
            describe(&node, "", &lines, &mut words);
        }
    }
    let mut whole = value("", &facts, &words);
    if let Value::Object(whole) = &mut whole {
        whole.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        whole.insert("title".into(), "An environment of Slipway".into());
    }
    let text = serde_json::to_string_pretty(&whole);
    text.map(|text| text + "\n").map_err(|error| Error::failed("write the JSON Schema").source(&error))
}

/// What the reader asks for: every alternative is read, in each of the ways that lead to it.
fn facts(root: &Path) -> BTreeMap<String, Facts> {
    let mut all: BTreeMap<String, Facts> = BTreeMap::new();
    // One service at the top level, and several.
    for absent in [BTreeSet::from(["services"]), BTreeSet::new()] {
        let mut seen = BTreeSet::new();
        let mut ways: Vec<BTreeMap<String, &'static str>> = vec![BTreeMap::new()];
        while let Some(taken) = ways.pop() {
            let probe = Probe { absent: absent.clone(), taken: taken.clone(), ..Probe::default() };
            let findings = Findings::probing(probe);
            environment::read(root, "local", Path::new(""), None, &findings);
            let Some(probe) = findings.probe else { continue };
            for (path, tag) in probe.alternatives.into_inner() {
                if !taken.contains_key(&path) && seen.insert((path.clone(), tag)) {
                    let mut longer = taken.clone();
                    longer.insert(path, tag);
                    ways.push(longer);
                }
            }
            for (path, Facts { shapes, required }) in probe.facts.into_inner() {
                let known = all.entry(path).or_default();
                known.required |= required;
                for shape in shapes {
                    merge(&mut known.shapes, shape);
                }
            }
        }
    }
    all
}

fn merge(shapes: &mut Vec<Shape>, shape: Shape) {
    for known in shapes.iter_mut() {
        if let (Shape::Section(keys), Shape::Section(more)) = (&mut *known, &shape) {
            keys.extend(more);
            return;
        }
    }
    if !shapes.contains(&shape) {
        shapes.push(shape);
    }
}

/// The schema of the value at a path.
fn value(path: &str, facts: &BTreeMap<String, Facts>, words: &BTreeMap<String, String>) -> Value {
    let none = Facts::default();
    let shapes = &facts.get(path).unwrap_or(&none).shapes;
    // What is read as something narrower is also read as text.
    let narrow: Vec<&Shape> = shapes.iter().filter(|shape| **shape != Shape::Text).collect();
    let shapes = if narrow.is_empty() { shapes.iter().collect() } else { narrow };
    let mut found: Vec<Value> = shapes.into_iter().map(|shape| one(path, shape, facts, words)).collect();
    let mut schema = if found.len() == 1 { found.remove(0) } else { json!({"anyOf": found}) };
    if let (Value::Object(schema), Some(words)) = (&mut schema, words.get(path)) {
        schema.insert("description".into(), words.as_str().into());
    }
    schema
}

fn one(path: &str, shape: &Shape, facts: &BTreeMap<String, Facts>, words: &BTreeMap<String, String>) -> Value {
    match shape {
        // Numbers and words like true are text where text is wanted.
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Form(pattern, what) => json!({"type": ["string", "number"], "pattern": pattern, "title": what}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole => json!({"type": "integer"}),
        Shape::Range(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Duration => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}),
        Shape::Section(keys) => object(path, keys, facts, words),
        Shape::Items => json!({"type": "array", "items": value(&format!("{path}[]"), facts, words)}),
        Shape::Texts => json!({"type": "object", "additionalProperties": one(path, &Shape::Text, facts, words)}),
        Shape::Json => json!({}),
        Shape::Tag(tag) => {
            let mut object = object(path, &BTreeSet::from([*tag]), facts, words);
            if let Value::Object(object) = &mut object {
                object.insert("required".into(), json!([tag]));
            }
            object
        }
    }
}

fn object(
    path: &str,
    keys: &BTreeSet<&'static str>,
    facts: &BTreeMap<String, Facts>,
    words: &BTreeMap<String, String>,
) -> Value {
    let child = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let properties: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), value(&child(key), facts, words))).collect();
    let required: Vec<_> =
        keys.iter().filter(|key| facts.get(&child(key)).is_some_and(|facts| facts.required)).collect();
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Value::Object(object), false) = (&mut object, required.is_empty()) {
        object.insert("required".into(), json!(required));
    }
    object
}

/// The comment above each key of a reference, by the key's path.
fn describe(node: &Node, path: &str, lines: &[&str], words: &mut BTreeMap<String, String>) {
    match &node.value {
        Located::Mapping(entries) => {
            for entry in entries {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                let above = lines[..entry.at.line - 1].iter().rev().map(|line| line.trim_start());
                let comments = above.map_while(|line| line.trim_start_matches("- ").strip_prefix('#'));
                let mut comments: Vec<&str> = comments.map(str::trim).collect();
                comments.reverse();
                if !comments.is_empty() && !words.contains_key(&path) {
                    words.insert(path.clone(), comments.join(" "));
                }
                describe(&entry.node, &path, lines, words);
            }
        }
        Located::Sequence(items) => {
            for item in items {
                describe(item, &format!("{path}[]"), lines, words);
            }
        }
        Located::Scalar { .. } => {}
    }
}
