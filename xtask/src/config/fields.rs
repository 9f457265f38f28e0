//! Reading a located tree key by key, so that every mistake in a file is reported at once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::Duration,
};

use super::{
    duration,
    located::{Entry, Node, Position, Value},
};

mod form;
mod probe;
mod variant;

pub(super) use form::Form;
pub(super) use probe::{Facts, Probe, Shape};
pub(super) use variant::Variant;

/// What is found while a file is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    mistakes: RefCell<Vec<Mistake>>,
    /// Every key that was looked for, and whether it was there.
    asked: RefCell<BTreeMap<String, bool>>,
    /// What the reader asks for, when it is to say that instead of reading a file.
    pub(super) probe: Option<Probe>,
}

/// Something wrong with the value at a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    pub(super) at: Position,
    pub(super) path: String,
    pub(super) message: String,
}

/// A mapping that is being read. The keys that it may have are those that it is asked for.
#[derive(Debug)]
pub(super) struct Section<'a> {
    findings: &'a Findings,
    path: String,
    at: Position,
    entries: &'a [Entry],
    asked: BTreeSet<&'static str>,
}

/// A value that may or may not be there.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    findings: &'a Findings,
    path: String,
    /// Where to point: at the value, or at the mapping that lacks it.
    at: Position,
    node: Option<&'a Node>,
}

impl Findings {
    /// For a reading without a file.
    pub(super) fn probing(probe: Probe) -> Self {
        Self { probe: Some(probe), ..Self::default() }
    }

    /// The mistakes in the order of the file.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.borrow().clone();
        mistakes.sort();
        mistakes
    }

    /// The keys that could have been set and were not.
    #[cfg(test)]
    pub(super) fn absent(&self) -> Vec<String> {
        self.asked.borrow().iter().filter(|(_, present)| !**present).map(|(path, _)| path.clone()).collect()
    }

    fn add(&self, at: Position, path: &str, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { at, path: path.to_owned(), message: message.into() });
    }
}

impl<'a> Section<'a> {
    /// The whole file; an empty one sets nothing.
    pub(super) fn root(findings: &'a Findings, node: Option<&'a Node>) -> Self {
        let at = node.map_or(Position { line: 1, column: 1 }, |node| node.at);
        Field { findings, path: String::new(), at, node }.section()
    }

    /// The value at a key.
    pub(super) fn field(&mut self, key: &'static str) -> Field<'a> {
        self.asked.insert(key);
        let node = self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
        let node = node.filter(|node| !node.is_null());
        let path = join(&self.path, key);
        if let Some(probe) = &self.findings.probe {
            probe.note(&unnumbered(&self.path), Shape::Section(BTreeSet::from([key])));
        }
        *self.findings.asked.borrow_mut().entry(unnumbered(&path)).or_default() |= node.is_some();
        Field { findings: self.findings, path, at: node.map_or(self.at, |node| node.at), node }
    }

    /// Reports a mistake of the mapping as a whole.
    pub(super) fn mistake(&self, message: impl Into<String>) {
        self.findings.add(self.at, &self.path, message);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn end(self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(entry.key.as_str())) {
            let message = match closest(&entry.key, self.asked.iter().copied()) {
                Some(name) => format!("unknown key, did you mean `{name}`?"),
                None => {
                    let known: Vec<_> = self.asked.iter().copied().collect();
                    format!("unknown key, the keys here are {}", known.join(", "))
                }
            };
            self.findings.add(entry.at, &join(&self.path, &entry.key), message);
        }
    }
}

impl<'a> Field<'a> {
    /// Whether it was given.
    pub(super) fn is_given(&self) -> bool {
        match &self.findings.probe {
            Some(probe) => !probe.absent.contains(self.path.as_str()),
            None => self.node.is_some(),
        }
    }

    /// Notes what the value may be.
    fn note(&self, shape: impl FnOnce() -> Shape) {
        if let Some(probe) = &self.findings.probe {
            probe.note(&unnumbered(&self.path), shape());
        }
    }

    /// Reports a mistake at this value.
    pub(super) fn mistake(&self, message: impl Into<String>) {
        self.findings.add(self.at, &self.path, message);
    }

    /// The value as a mapping; an absent one has no keys.
    pub(super) fn section(self) -> Section<'a> {
        self.note(|| Shape::Section(BTreeSet::new()));
        let entries = match self.node.map(|node| (node, &node.value)) {
            None => &[],
            Some((_, Value::Mapping(entries))) => entries.as_slice(),
            Some((node, _)) => {
                self.mistake(format!("a mapping was expected, this is {}", node.describe()));
                &[]
            }
        };
        Section { findings: self.findings, path: self.path, at: self.at, entries, asked: BTreeSet::new() }
    }

    /// Whether it is a list without items.
    pub(super) fn is_empty_list(&self) -> bool {
        self.node.is_some_and(|node| matches!(&node.value, Value::Sequence(items) if items.is_empty()))
    }

    /// The items of a list; an absent one is empty.
    pub(super) fn items(self) -> Vec<Field<'a>> {
        self.note(|| Shape::Items);
        if self.findings.probe.is_some() {
            return vec![Field { path: format!("{}[0]", self.path), ..self }];
        }
        let items = match self.node.map(|node| (node, &node.value)) {
            None => &[],
            Some((_, Value::Sequence(items))) => items.as_slice(),
            Some((node, _)) => {
                self.mistake(format!("a list was expected, this is {}", node.describe()));
                &[]
            }
        };
        let field = |(index, node): (usize, &'a Node)| Field {
            findings: self.findings,
            path: format!("{}[{index}]", self.path),
            at: node.at,
            node: Some(node),
        };
        items.iter().enumerate().map(field).collect()
    }

    /// The value as text.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.note(|| Shape::Text);
        match &self.node?.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.mistake(format!("a single value was expected, this is {}", self.node?.describe()));
                None
            }
        }
    }

    /// The value as text that passes a rule; the rule says what is wrong.
    pub(super) fn checked(&self, rule: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
        let text = self.text()?;
        match rule(text) {
            Ok(()) => Some(text.to_owned()),
            Err(message) => {
                self.mistake(message);
                None
            }
        }
    }

    /// The value as a number.
    pub(super) fn number<T: FromStr>(&self, expected: &str) -> Option<T> {
        self.note(|| Shape::Whole);
        let text = self.text()?;
        text.parse().map_err(|_| self.mistake(format!("`{text}` is not {expected}"))).ok()
    }

    /// The value as a duration.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.note(|| Shape::Duration);
        duration::parse(self.text()?).map_err(|message| self.mistake(message)).ok()
    }

    /// The value as one of the words.
    pub(super) fn choice<T>(&self, choices: &[(&'static str, T)]) -> Option<T>
    where
        T: Clone,
    {
        self.note(|| match choices.iter().map(|(word, _)| *word).collect::<Vec<_>>() {
            words if words == ["true", "false"] => Shape::Flag,
            words => Shape::Words(words),
        });
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.mistake(unknown(text, &words));
        }
        found
    }

    /// The value as text by key.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        self.note(|| Shape::Texts);
        let Some(Value::Mapping(entries)) = self.node.map(|node| &node.value) else {
            if let Some(node) = self.node {
                self.mistake(format!("a mapping was expected, this is {}", node.describe()));
            }
            return BTreeMap::new();
        };
        let field = |entry: &'a Entry| {
            let path = join(&self.path, &entry.key);
            let field = Field { findings: self.findings, path, at: entry.node.at, node: Some(&entry.node) };
            Some((entry.key.clone(), field.text()?.to_owned()))
        };
        entries.iter().filter_map(field).collect()
    }

    /// The value as JSON.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        self.note(|| Shape::Json);
        self.node.map(Node::to_json)
    }
}

fn unknown(text: &str, words: &[&str]) -> String {
    let known = words.join(", ");
    match closest(text, words.iter().copied()) {
        Some(word) => format!("`{text}` is not one of {known}; did you mean `{word}`?"),
        None => format!("`{text}` is not one of {known}"),
    }
}

/// The word that was probably meant.
pub(crate) fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(wrong, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(wrong.len()) / 4)
        .min()
        .map(|(_, word)| word)
}

/// A path without the numbers of items: what may be written in one may be written in all.
fn unnumbered(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect::<Vec<_>>().join("[]")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
