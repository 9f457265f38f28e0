//! A plan as people read it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Action, Change, Configs, FieldDiff, ObjectRef, Plan};

/// How much of a value is shown.
const WIDTH: usize = 60;

/// How many objects meet which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// New ones.
    pub created: usize,
    /// Changed ones.
    pub changed: usize,
    /// Those that are deleted and created again.
    pub replaced: usize,
    /// Removed ones.
    pub deleted: usize,
    /// Those that are as they should be.
    pub unchanged: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, changed, replaced, deleted, unchanged } = self;
        write!(formatter, "{created} created, {changed} changed, ")?;
        if *replaced > 0 {
            write!(formatter, "{replaced} replaced, ")?;
        }
        write!(formatter, "{deleted} deleted, {unchanged} unchanged")
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::Unchanged)
    }

    /// What a deploy does where there is no cluster yet: everything is made.
    pub fn from_nothing(objects: impl Iterator<Item = ObjectRef>) -> Self {
        let changes = objects.map(Change::creation).collect();
        Self { changes, left: Vec::new(), take_ownership: false, configs: Configs::default() }
    }

    /// The objects that are there after it.
    pub fn objects(&self) -> Vec<ObjectRef> {
        let stay = self.changes.iter().filter(|change| change.action != Action::Delete);
        stay.map(|change| change.object.clone()).collect()
    }

    /// How many objects meet which fate.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            match change.action {
                Action::Create => summary.created += 1,
                Action::Update { .. } => summary.changed += 1,
                Action::Replace { .. } => summary.replaced += 1,
                Action::Delete => summary.deleted += 1,
                Action::Unchanged => summary.unchanged += 1,
            }
        }
        summary
    }

    /// One line an object that changes, and one a field below it if there are several.
    pub fn lines(&self) -> Vec<String> {
        let changes = || self.changes.iter().filter(|change| change.action != Action::Unchanged);
        let shown = || changes().map(|change| &change.object).chain(&self.left);
        let kinds = shown().map(|object| object.kind.len()).max().unwrap_or(0);
        // Only what is followed by something on its line has to be aligned with others.
        let followed = changes().filter(|change| change.is_followed()).map(|change| &change.object).chain(&self.left);
        let names = followed.map(|object| name(object).chars().count()).max().unwrap_or(0);
        let left = self.left.iter().map(|object| {
            let (kind, name) = (&object.kind, name(object));
            format!("! {kind:<kinds$} {name:<names$}   stays, though no manifest has it: --prune-protected {kind} deletes it")
        });
        changes().flat_map(|change| change.lines(kinds, names)).chain(left).collect()
    }
}

impl Change {
    /// Whether its first line goes on after the name.
    fn is_followed(&self) -> bool {
        match &self.action {
            Action::Update { fields } => fields.len() < 2,
            Action::Replace { .. } => true,
            Action::Create | Action::Delete | Action::Unchanged => false,
        }
    }

    fn lines(&self, kinds: usize, names: usize) -> Vec<String> {
        let head = |sign: char| format!("{sign} {:<kinds$} {}", self.object.kind, name(&self.object));
        let first = |sign: char, rest: &str| {
            format!("{sign} {:<kinds$} {:<names$}   {rest}", self.object.kind, name(&self.object))
        };
        let fields = self.fields().iter().map(|field| format!("    {field}"));
        match &self.action {
            Action::Unchanged => Vec::new(),
            Action::Create => vec![head('+')],
            Action::Delete => vec![head('-')],
            Action::Update { fields: only } => match &only[..] {
                [] => vec![first('~', "takes over its fields")],
                [field] => vec![first('~', &field.to_string())],
                _ => std::iter::once(head('~')).chain(fields).collect(),
            },
            Action::Replace { .. } => {
                std::iter::once(first('±', "is deleted and created again")).chain(fields).collect()
            }
        }
    }
}

/// `NAMESPACE/NAME`
fn name(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.clone(),
    }
}

impl fmt::Display for FieldDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.path)?;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(formatter, "+ {}", short(after))?,
            (Some(before), None) => write!(formatter, "- {}", short(before))?,
            (before, after) => {
                let text = |value: &Option<Value>| value.as_ref().map(short).unwrap_or_default();
                write!(formatter, "{} -> {}", text(before), text(after))?;
            }
        }
        match &self.by {
            Some(writer) => write!(formatter, "   ({writer})"),
            None => Ok(()),
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
