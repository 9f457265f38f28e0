//! Secret values that are known, to be taken out of texts that others wrote: a refusal of the API server, the log of a
//! container, the answer of a service.

use std::{collections::HashSet, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{HIDDEN, hide_in, text, visit};
use crate::plan::Action;

/// Shorter values are words that occur anywhere: hiding them would hide the text.
const SHORTEST: usize = 4;

/// More values than that are looked for as whole words only in a plan, which takes no longer with their number.
const FEW: usize = 200;

/// Values that must not be shown.
#[derive(Debug, Default)]
pub(crate) struct Known {
    values: HashSet<String>,
}

impl Known {
    /// What is secret in an object.
    pub(crate) fn of(object: &Value) -> Self {
        let mut known = Self::default();
        known.add(object);
        known
    }

    /// Remembers what is secret in an object, or in a part of one.
    pub(crate) fn add(&mut self, object: &Value) {
        let is_secret = object["kind"] == "Secret";
        visit(&mut object.clone(), &mut |part| {
            self.remember(part);
            let decoded = is_secret.then(|| BASE64_STANDARD.decode(part).ok()).flatten();
            if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                self.remember(&text);
            }
            String::new()
        });
    }

    /// Remembers a value, also as base64 has it.
    pub(crate) fn add_value(&mut self, value: &str) {
        self.remember(value);
        self.keep(&BASE64_STANDARD.encode(value));
    }

    /// As it is and as programs quote it, each of its lines, what is assigned there, and credentials inside.
    fn remember(&mut self, value: &str) {
        self.keep(value);
        self.keep(&value.escape_default().to_string());
        for line in value.lines() {
            self.keep(line);
            // Files of settings: `password=...`, `password: ...`.
            let assigned = line.split_once(['=', ':']).map(|(_, assigned)| assigned.trim().trim_matches(['"', '\'']));
            assigned.into_iter().filter(|assigned| !is_plain(assigned)).for_each(|assigned| self.keep(assigned));
        }
        for range in text::secrets(value) {
            self.keep(&value[range]);
        }
    }

    fn keep(&mut self, value: &str) {
        let value = value.trim();
        if value.len() >= SHORTEST && !self.values.contains(value) {
            self.values.insert(value.to_owned());
        }
    }

    /// The text without these values.
    pub(crate) fn scrub_values(&self, text: &str) -> String {
        // The longest first: one may be a part of another.
        let mut values: Vec<&String> = self.values.iter().filter(|value| text.contains(value.as_str())).collect();
        values.sort_by_key(|value| (std::cmp::Reverse(value.len()), *value));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN))
    }

    /// The same, and without what looks like a credential by itself.
    pub(crate) fn scrub_all(&self, text: &str) -> String {
        hide_in(&self.scrub_values(text))
    }

    /// The same, by whole words where there are many values.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let text = hide_in(text);
        if self.values.len() <= FEW {
            return self.scrub_values(&text);
        }
        let ends = |character: char| character.is_whitespace() || "\"'`=,;&()[]{}".contains(character);
        let mut shown = String::new();
        for piece in text.split_inclusive(ends) {
            let word = piece.trim_end_matches(ends);
            let known = self.values.contains(word) || self.values.contains(word.trim_end_matches([':', '.']));
            let _ = write!(shown, "{}{}", if known { HIDDEN } else { word }, &piece[word.len()..]);
        }
        shown
    }

    /// Takes the values out of what a plan shows of fields: they may stand where no name tells of them.
    pub(in crate::plan) fn scrub_fields(&self, action: &mut Action) {
        let (Action::Update { fields } | Action::Replace { fields }) = action else { return };
        let values = fields.iter_mut().flat_map(|field| [&mut field.before, &mut field.after]).flatten();
        values.for_each(|value| self.scrub_tree(value));
    }

    fn scrub_tree(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub_tree(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.scrub_tree(value)),
            _ => {}
        }
    }
}

/// Words of settings that tell nothing: a port, a switch.
fn is_plain(word: &str) -> bool {
    matches!(word, "true" | "false" | "null" | "none")
        || (word.len() < 6 && word.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_however_they_are_written() {
        let mut known = Known::default();
        known.add_value("hunter2-long\n");
        known.add_value("user=ada\npassword = \"correct horse\"\nport = 8080\n");
        known.add_value("postgres://app:s3cr3t@db/app");
        known.add_value("abc");
        for (text, expected) in [
            ("login with hunter2-long failed", "login with (hidden) failed"),
            ("aHVudGVyMi1sb25nCg== is not it", "(hidden) is not it"),
            ("no `correct horse` here", "no `(hidden)` here"),
            ("postgres://app:s3cr3t@db/app refused; s3cr3t", "(hidden) refused; (hidden)"),
            ("abc stays, it is too short, and so does 8080", "abc stays, it is too short, and so does 8080"),
        ] {
            assert_eq!(known.scrub_values(text), expected);
        }
        assert_eq!(known.scrub_all("hunter2-long, token=other"), "(hidden), token=(hidden)");
    }
}
