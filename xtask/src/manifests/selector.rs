//! Which objects a patch or a replacement is for.

use regex_lite::Regex;
use serde_json::Value;

use super::{identity::Identity, kustomization::Target, object::Object, reader::Text, yaml::wrong};
use crate::error::Result;

/// A target, compiled.
pub(super) struct Selector {
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
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// # Errors
    /// A pattern or a label selector that is none, with its place.
    pub(super) fn new(target: &Target, file: &str) -> Result<Self> {
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

    /// Whether the object is meant, by the name it was written with or the one it has.
    pub(super) fn selects(&self, object: &Object) -> bool {
        let (first, now) = (object.first_identity(), object.identity());
        (fits(&self.namespace, &first.namespace) || fits(&self.namespace, &now.namespace))
            && (fits(&self.name, &first.name) || fits(&self.name, &now.name))
            && self.fits_kind(&now)
            && self.fits_metadata(object)
    }

    /// Whether this is meant, one of the identities that an object has had.
    pub(super) fn fits(&self, identity: &Identity) -> bool {
        fits(&self.namespace, &identity.namespace) && fits(&self.name, &identity.name) && self.fits_kind(identity)
    }

    /// Whether the labels and annotations are those of the selectors.
    pub(super) fn fits_metadata(&self, object: &Object) -> bool {
        let metadata = &object.value["metadata"];
        self.labels.iter().all(|requirement| requirement.holds(&metadata["labels"]))
            && self.annotations.iter().all(|requirement| requirement.holds(&metadata["annotations"]))
    }

    /// Whether it selects by labels or annotations.
    pub(super) fn has_metadata(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }

    /// Whether it selects by anything that an identity has.
    pub(super) fn has_identity(&self) -> bool {
        [&self.group, &self.version, &self.kind, &self.name, &self.namespace].iter().any(|pattern| pattern.is_some())
    }

    fn fits_kind(&self, identity: &Identity) -> bool {
        fits(&self.group, identity.group())
            && fits(&self.version, identity.version())
            && fits(&self.kind, &identity.kind)
    }
}

fn fits(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

impl Requirement {
    fn holds(&self, pairs: &Value) -> bool {
        let is_one = |key: &str, values: &[String]| {
            pairs.get(key).and_then(Value::as_str).is_some_and(|found| values.iter().any(|value| value == found))
        };
        match self {
            Self::In(key, values) => is_one(key, values),
            Self::NotIn(key, values) => !is_one(key, values),
            Self::Exists(key) => pairs.get(key).is_some(),
            Self::Absent(key) => pairs.get(key).is_none(),
        }
    }
}

/// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
fn requirements(text: &Text, file: &str) -> Result<Vec<Requirement>> {
    let mut terms = vec![String::new()];
    let mut depth = 0_usize;
    for character in text.text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (character, depth) {
            (',', 0) => terms.push(String::new()),
            _ => terms.last_mut().expect("there is one from the start").push(character),
        }
    }
    let bad = || {
        wrong(file, text.at, format_args!("the selector `{}` is not supported", text.text))
            .hint("write key=value, key!=value, key, !key, key in (a, b) or key notin (a, b), with commas between")
    };
    terms.iter().map(|term| requirement(term.trim()).ok_or_else(bad)).collect()
}

fn requirement(term: &str) -> Option<Requirement> {
    let word = |text: &str| {
        let text = text.trim();
        (!text.contains(['(', ')', ' ', '<', '>', '=', '!', ','])).then(|| text.to_owned())
    };
    let key = |text: &str| word(text).filter(|text| !text.is_empty());
    if let Some(list) = term.strip_suffix(')') {
        let (head, list) = list.split_once('(')?;
        let values = list.split(',').map(word).collect::<Option<Vec<_>>>()?;
        let mut head = head.split_whitespace();
        let name = key(head.next()?)?;
        return match (head.next()?, head.next()) {
            ("in", None) => Some(Requirement::In(name, values)),
            ("notin", None) => Some(Requirement::NotIn(name, values)),
            _ => None,
        };
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Some(Requirement::NotIn(key(name)?, vec![word(value)?]));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(Requirement::In(key(name)?, vec![word(value)?]));
    }
    match term.strip_prefix('!') {
        Some(name) => Some(Requirement::Absent(key(name)?)),
        None => Some(Requirement::Exists(key(term)?)),
    }
}
