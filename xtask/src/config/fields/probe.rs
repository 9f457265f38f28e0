//! What the reader asks of a file, without a file: the keys, what they may be, and which must be there. The JSON Schema is
//! made of it, so it cannot say anything else than the reader.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum Shape {
    Text,
    /// Text of a form: a pattern, and what it is.
    Form(&'static str, &'static str),
    Words(Vec<&'static str>),
    Flag,
    Whole,
    Range(u32, u32),
    Duration,
    /// A mapping of these keys.
    Section(BTreeSet<&'static str>),
    /// A list, whose items are at the path with `[]` behind it.
    Items,
    Texts,
    Json,
    /// One of the tags as the only key of a mapping.
    Tag(&'static str),
}

/// What is asked of a value.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Facts {
    pub(in crate::config) shapes: Vec<Shape>,
    pub(in crate::config) required: bool,
}

/// The stand-in for a mapping in a choice between words and a mapping.
pub(in crate::config) const MAPPING: &str = "{}";

/// One reading without a file. Everything seems to be given, and nothing has a value; where there are alternatives, those
/// of `taken` are read.
#[derive(Debug, Default)]
pub(in crate::config) struct Probe {
    /// Keys that seem not to be given.
    pub(in crate::config) absent: BTreeSet<&'static str>,
    /// The alternative at a path.
    pub(in crate::config) taken: BTreeMap<String, &'static str>,
    /// The alternatives that there are.
    pub(in crate::config) alternatives: RefCell<BTreeSet<(String, &'static str)>>,
    pub(in crate::config) facts: RefCell<BTreeMap<String, Facts>>,
}

impl Probe {
    /// Notes what a value may be, beside what was noted before.
    pub(super) fn note(&self, path: &str, shape: Shape) {
        let mut facts = self.facts.borrow_mut();
        let shapes = &mut facts.entry(path.to_owned()).or_default().shapes;
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

    pub(super) fn require(&self, path: &str) {
        self.facts.borrow_mut().entry(path.to_owned()).or_default().required = true;
    }

    /// Notes an alternative, and says whether this reading takes it.
    pub(super) fn takes(&self, path: &str, alternative: &'static str) -> bool {
        self.alternatives.borrow_mut().insert((path.to_owned(), alternative));
        self.taken.get(path) == Some(&alternative)
    }
}
