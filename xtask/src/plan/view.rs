//! A plan as people read it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Action, Change, FieldDiff, Plan};

/// How much of a value is shown.
const WIDTH: usize = 60;

/// How many objects meet which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// New ones.
    pub created: usize,
    /// Changed ones.
    pub changed: usize,
    /// Removed ones.
    pub deleted: usize,
    /// Those that are as they should be.
    pub unchanged: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, changed, deleted, unchanged } = self;
        write!(formatter, "{created} created, {changed} changed, {deleted} deleted, {unchanged} unchanged")
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::Unchanged)
    }

    /// How many objects meet which fate.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            match change.action {
                Action::Create => summary.created += 1,
                Action::Update { .. } => summary.changed += 1,
                Action::Unchanged => summary.unchanged += 1,
            }
        }
        summary
    }

    /// One line an object that changes, and one a field below it if there are several.
    pub fn lines(&self) -> Vec<String> {
        let changes = || self.changes.iter().filter(|change| change.action != Action::Unchanged);
        let width = changes().map(|change| change.object.kind.len()).max().unwrap_or(0);
        changes().flat_map(|change| change.lines(width)).collect()
    }
}

impl Change {
    fn lines(&self, width: usize) -> Vec<String> {
        let name = match &self.object.namespace {
            Some(namespace) => format!("{namespace}/{}", self.object.name),
            None => self.object.name.clone(),
        };
        let head = |sign: char| format!("{sign} {:<width$} {name}", self.object.kind);
        match &self.action {
            Action::Unchanged => Vec::new(),
            Action::Create => vec![head('+')],
            Action::Update { fields } => match &fields[..] {
                [] => vec![format!("{}   takes over its fields", head('~'))],
                [field] => vec![format!("{}   {field}", head('~'))],
                fields => std::iter::once(head('~')).chain(fields.iter().map(|field| format!("    {field}"))).collect(),
            },
        }
    }
}

impl fmt::Display for FieldDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.path)?;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(formatter, "+ {}", short(after)),
            (Some(before), None) => write!(formatter, "- {}", short(before)),
            (before, after) => {
                let text = |value: &Option<Value>| value.as_ref().map(short).unwrap_or_default();
                write!(formatter, "{} -> {}", text(before), text(after))
            }
        }
    }
}

/// A value in one line of at most [`WIDTH`] characters; of a digest the beginning, which is what people compare.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => match text.split_once("@sha256:") {
            Some((name, digest)) if digest.len() == 64 => format!("{name}@sha256:{}..", &digest[..6]),
            _ => text.escape_debug().to_string(),
        },
        value => value.to_string(),
    };
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH - 2).chain("..".chars()).collect()
}
