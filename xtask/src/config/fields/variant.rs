//! A choice whose alternatives may have keys of their own: `local`, or `kubeconfig: {context: kind}`.

use super::{Field, Section, Shape, probe::MAPPING, unknown, unnumbered};
use crate::config::located::Value;

/// What was chosen.
#[derive(Debug)]
pub(in crate::config) enum Variant<'a, T> {
    /// One of the words.
    Word(T),
    /// The one key of the mapping, and what belongs to it.
    Tag(&'static str, Section<'a>),
}

impl<'a> Field<'a> {
    /// Whether it is a mapping.
    pub(in crate::config) fn is_mapping(&self) -> bool {
        if let Some(probe) = &self.findings.probe {
            return probe.takes(&unnumbered(&self.path), MAPPING);
        }
        self.node.is_some_and(|node| matches!(node.value, Value::Mapping(_)))
    }

    /// The value as one of the words, or as a mapping with one of the tags as its only key.
    pub(in crate::config) fn variant<T: Clone>(
        self,
        words: &[(&'static str, T)],
        tags: &[&'static str],
    ) -> Option<Variant<'a, T>> {
        if let Some(probe) = &self.findings.probe {
            let path = unnumbered(&self.path);
            if !words.is_empty() {
                probe.note(&path, Shape::Words(words.iter().map(|(word, _)| *word).collect()));
            }
            let mut taken = None;
            for tag in tags {
                probe.note(&path, Shape::Tag(tag));
                taken = taken.or(probe.takes(&path, tag).then_some(*tag));
            }
            let tag = taken?;
            let path = format!("{}.{tag}", self.path);
            return Some(Variant::Tag(tag, Field { path, ..self }.section()));
        }
        let node = self.node?;
        let known: Vec<_> = words.iter().map(|(word, _)| *word).chain(tags.iter().copied()).collect();
        let Value::Mapping(entries) = &node.value else {
            let text = self.text()?;
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
            if tags.contains(&text) {
                self.mistake(format!("`{text}` has keys of its own: write them below `{text}:`"));
            } else if found.is_none() {
                self.mistake(unknown(text, &known));
            }
            return found.map(Variant::Word);
        };
        match entries.as_slice() {
            [entry] => match tags.iter().find(|tag| **tag == entry.key) {
                Some(tag) => {
                    let mut keys = self.section();
                    let section = keys.field(tag).section();
                    Some(Variant::Tag(tag, section))
                }
                None => {
                    self.findings.add(entry.at, &self.path, unknown(&entry.key, &known));
                    None
                }
            },
            _ => {
                self.mistake(format!("exactly one of {} was expected", known.join(", ")));
                None
            }
        }
    }
}
