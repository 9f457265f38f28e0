//! `patches`: strategic merge and JSON 6902, by target or by the identity that the patch itself names.

use std::{fs, path::Path, sync::Arc};

use regex_lite::Regex;
use serde_json::Value;

use super::{
    kustomization::{Patch, Target},
    merge::strategic,
    object::Object,
    reader::Text,
    yaml::{Data, Node, Position, parse, wrong},
};
use crate::error::Result;

/// Applies one patch of a kustomization.
///
/// # Errors
/// The patch cannot be read, selects nothing it must select, or does not fit the object.
pub(super) fn apply(
    objects: &mut Vec<Object>,
    patch: &Patch,
    file: &Arc<str>,
    directory: &Path,
    show: &dyn Fn(&Path) -> String,
) -> Result<()> {
    let (text, origin, at) = match (&patch.path, &patch.inline) {
        (Some(path), _) => {
            let full = directory.join(&path.text);
            let text = fs::read_to_string(&full)
                .map_err(|error| wrong(file, path.at, format_args!("cannot read {}: {error}", path.text)))?;
            (text, Arc::from(show(&full)), None)
        }
        (None, Some(inline)) => (inline.text.clone(), Arc::clone(file), Some(inline.at)),
        (None, None) => return Ok(()),
    };
    // Positions inside an inline patch are its own; the place where it is written is what a person can find.
    let here = |node: &Node| at.unwrap_or(node.at);
    let documents = parse(&origin, &text).map_err(|error| match at {
        Some(at) => wrong(file, at, "this patch is not YAML").cause(error.message),
        None => error,
    })?;
    for document in &documents {
        match &document.data {
            Data::List(_) => {
                let Some(target) = &patch.target else {
                    return Err(wrong(file, patch.at, "a JSON patch needs a `target`"));
                };
                json(objects, &document.to_value(), target, (file, &origin), here(document))?;
            }
            Data::Map(_) => {
                merge(objects, &document.to_value(), patch.target.as_ref(), (file, &origin), here(document))?;
            }
            Data::Scalar(_) => {
                return Err(wrong(&origin, here(document), "a patch is a mapping, or a list of JSON patch operations"));
            }
        }
    }
    Ok(())
}

fn json(objects: &mut [Object], patch: &Value, target: &Target, files: (&str, &str), at: Position) -> Result<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| wrong(files.1, at, format_args!("not a JSON patch (RFC 6902): {error}")))?;
    let selector = Selector::new(target, files.0)?;
    for object in objects.iter_mut().filter(|object| selector.selects(object)) {
        json_patch::patch(&mut object.value, &operations).map_err(|error| {
            wrong(files.1, at, format_args!("the patch does not fit {}: {error}", object.reference()))
        })?;
    }
    Ok(())
}

fn merge(
    objects: &mut Vec<Object>,
    patch: &Value,
    target: Option<&Target>,
    files: (&str, &str),
    at: Position,
) -> Result<()> {
    let selector = target.map(|target| Selector::new(target, files.0)).transpose()?;
    let mut failure = None;
    let mut found = 0;
    objects.retain_mut(|object| {
        let selected = match &selector {
            Some(selector) => selector.selects(object),
            None => is_for(patch, object),
        };
        if !selected {
            return true;
        }
        found += 1;
        // The patch's own identity selects; it does not rename what a target selected.
        let mut patch = patch.clone();
        if let Some(fields) = patch.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("name");
                metadata.remove("namespace");
            }
        }
        let built_in = is_built_in(object.api_version());
        strategic(&mut object.value, &patch, built_in).unwrap_or_else(|directive| {
            failure.get_or_insert(directive);
            true
        })
    });
    if let Some(directive) = failure {
        return Err(wrong(files.1, at, format_args!("`{directive}` is not supported")));
    }
    if found == 0 && selector.is_none() {
        let name = patch["metadata"]["name"].as_str().unwrap_or_default();
        let kind = patch["kind"].as_str().unwrap_or_default();
        return Err(wrong(
            files.1,
            at,
            format_args!("the patch is for {kind} {name}, which is not among the resources"),
        ));
    }
    Ok(())
}

/// Whether a patch without target names this object.
fn is_for(patch: &Value, object: &Object) -> bool {
    let name = patch["metadata"]["name"].as_str().unwrap_or_default();
    patch["kind"] == object.kind()
        && patch["apiVersion"] == object.api_version()
        && (object.name() == name || object.first_name() == name)
        && patch["metadata"]["namespace"].as_str().is_none_or(|namespace| object.namespace() == Some(namespace))
}

/// Whether the API server itself knows the version's kinds; lists of custom resources do not merge.
fn is_built_in(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    matches!(group, "" | "apps" | "batch" | "autoscaling" | "policy") || group.ends_with(".k8s.io")
}

struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

/// One term of a label selector.
enum Requirement {
    Equals(String, String),
    Differs(String, String),
    Exists(String),
    Absent(String),
}

impl Selector {
    fn new(target: &Target, file: &str) -> Result<Self> {
        let regex = |text: &Option<Text>| {
            let compile = |text: &Text| {
                Regex::new(&format!("^(?:{})$", text.text))
                    .map_err(|error| wrong(file, text.at, format_args!("not a regular expression: {error}")))
            };
            text.as_ref().map(compile).transpose()
        };
        let requirements = |text: &Option<Text>| text.as_ref().map_or(Ok(Vec::new()), |text| requirements(text, file));
        Ok(Self {
            group: regex(&target.group)?,
            version: regex(&target.version)?,
            kind: regex(&target.kind)?,
            name: regex(&target.name)?,
            namespace: regex(&target.namespace)?,
            labels: requirements(&target.labels)?,
            annotations: requirements(&target.annotations)?,
        })
    }

    fn selects(&self, object: &Object) -> bool {
        let (group, version) = object.api_version().split_once('/').unwrap_or(("", object.api_version()));
        let fits = |regex: &Option<Regex>, text: &str| regex.as_ref().is_none_or(|regex| regex.is_match(text));
        let metadata = &object.value["metadata"];
        fits(&self.group, group)
            && fits(&self.version, version)
            && fits(&self.kind, object.kind())
            && (fits(&self.name, object.name()) || fits(&self.name, object.first_name()))
            && fits(&self.namespace, object.namespace().unwrap_or("default"))
            && self.labels.iter().all(|requirement| requirement.holds(&metadata["labels"]))
            && self.annotations.iter().all(|requirement| requirement.holds(&metadata["annotations"]))
    }
}

impl Requirement {
    fn holds(&self, pairs: &Value) -> bool {
        match self {
            Self::Equals(key, value) => pairs[key] == value.as_str(),
            Self::Differs(key, value) => pairs[key] != value.as_str(),
            Self::Exists(key) => pairs.get(key).is_some(),
            Self::Absent(key) => pairs.get(key).is_none(),
        }
    }
}

fn requirements(text: &Text, file: &str) -> Result<Vec<Requirement>> {
    let term = |term: &str| {
        let term = term.trim();
        if term.is_empty() || term.contains(['(', ')', ' ', '<', '>']) {
            return Err(wrong(file, text.at, format_args!("the selector `{}` is not supported", text.text))
                .hint("write key=value, key!=value, key or !key, with commas between"));
        }
        let pair = |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
        Ok(if let Some((key, value)) = term.split_once("!=").map(pair) {
            Requirement::Differs(key, value)
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')).map(pair) {
            Requirement::Equals(key, value)
        } else if let Some(key) = term.strip_prefix('!') {
            Requirement::Absent(key.to_owned())
        } else {
            Requirement::Exists(term.to_owned())
        })
    };
    text.text.split(',').map(term).collect()
}
