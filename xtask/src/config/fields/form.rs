//! Values that have a form: what a reader, a person and the JSON Schema know of it is said once.

use std::ops::RangeInclusive;

use super::{Field, Section, Shape, unnumbered};

/// The form of a text.
#[derive(Debug)]
pub(in crate::config) struct Form {
    /// What it is, for people: `an AWS account, 12 digits`.
    pub(in crate::config) what: &'static str,
    /// The whole of it, in what the regular expressions of Rust and of ECMA 262 have in common.
    pub(in crate::config) pattern: &'static str,
}

impl Form {
    /// Whether a text has it.
    ///
    /// # Errors
    /// What was expected.
    pub(in crate::config) fn check(&self, text: &str) -> Result<(), String> {
        let fits = regex_lite::Regex::new(self.pattern).is_ok_and(|pattern| pattern.is_match(text));
        if fits { Ok(()) } else { Err(format!("`{text}` is not {}", self.what)) }
    }
}

impl<'a> Field<'a> {
    /// The value as text of a form.
    pub(in crate::config) fn form(&self, form: &Form) -> Option<String> {
        self.note(|| Shape::Form(form.pattern, form.what));
        self.checked(|text| form.check(text))
    }

    /// The same field, missed when it is not there; the message asks for it.
    pub(in crate::config) fn required(self, message: &str) -> Self {
        self.required_in(true, message)
    }

    /// The same field, missed when it is not there but the section is.
    pub(in crate::config) fn required_in(self, section: bool, message: &str) -> Self {
        if let Some(probe) = self.findings.probe.as_ref().filter(|_| section) {
            probe.require(&unnumbered(&self.path));
        } else if section && !self.is_given() {
            self.mistake(message);
        }
        self
    }

    /// The value as a number of a range.
    pub(in crate::config) fn within(&self, range: RangeInclusive<u32>, what: &str) -> Option<u32> {
        self.note(|| Shape::Range(*range.start(), *range.end()));
        let expected = format!("{what} from {} to {}", range.start(), range.end());
        let number = self.number(&expected)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.mistake(format!("`{number}` is not {expected}"));
        None
    }

    /// The value as `true` or `false`.
    pub(in crate::config) fn flag(&self) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)])
    }

    /// The items of a list, each as text of a form and unlike the others.
    pub(in crate::config) fn forms(self, form: &Form) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.items() {
            let Some(text) = item.form(form) else { continue };
            if texts.contains(&text) {
                item.mistake(format!("`{text}` is in the list already"));
            }
            texts.push(text);
        }
        texts
    }

    /// The items of a list of mappings, each read and unlike the others by its name.
    pub(in crate::config) fn each<T>(
        self,
        read: impl Fn(&mut Section<'a>) -> T,
        name: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let mut found: Vec<T> = Vec::new();
        for item in self.items() {
            let (findings, path, at) = (item.findings, item.path.clone(), item.at);
            let mut keys = item.section();
            let value = read(&mut keys);
            keys.end();
            let own = name(&value);
            if !own.is_empty() && found.iter().any(|other| name(other) == own) {
                findings.add(at, &path, format!("`{own}` is in the list already"));
            }
            found.push(value);
        }
        found
    }
}
