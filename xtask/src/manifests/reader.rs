//! The values that a kustomization is made of, and the errors when they are something else.

use serde_json::{Map, Value};

use super::yaml::{Data, Key, Node, Position, wrong};
use crate::{
    config::closest,
    error::{Error, Result},
};

/// A string and where it is written.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) at: Position,
    pub(super) text: String,
}

/// Reads the nodes of one file.
pub(super) struct Reader<'file> {
    pub(super) file: &'file str,
}

impl Reader<'_> {
    pub(super) fn entries<'node>(&self, node: &'node Node) -> Result<&'node [(Key, Node)]> {
        match &node.data {
            Data::Map(entries) => Ok(entries),
            Data::Scalar(Value::Null) => Ok(&[]),
            _ => Err(wrong(self.file, node.at, "a mapping is expected here")),
        }
    }

    pub(super) fn each<T>(&self, node: &Node, read: impl Fn(&Self, &Node) -> Result<T>) -> Result<Vec<T>> {
        match &node.data {
            Data::List(items) => items.iter().map(|item| read(self, item)).collect(),
            Data::Scalar(Value::Null) => Ok(Vec::new()),
            _ => Err(wrong(self.file, node.at, "a list is expected here")),
        }
    }

    pub(super) fn texts(&self, node: &Node) -> Result<Vec<Text>> {
        self.each(node, Self::text)
    }

    pub(super) fn text(&self, node: &Node) -> Result<Text> {
        match &node.data {
            Data::Scalar(Value::String(text)) => Ok(Text { at: node.at, text: text.clone() }),
            Data::Scalar(Value::Null) => Ok(Text { at: node.at, text: String::new() }),
            _ => Err(wrong(self.file, node.at, "a string is expected here: quote it")),
        }
    }

    pub(super) fn boolean(&self, node: &Node) -> Result<bool> {
        node.to_value().as_bool().ok_or_else(|| wrong(self.file, node.at, "true or false is expected here"))
    }

    pub(super) fn pairs(&self, node: &Node) -> Result<Map<String, Value>> {
        self.entries(node)?.iter().map(|(key, node)| Ok((key.text.clone(), self.text(node)?.text.into()))).collect()
    }

    pub(super) fn constant(&self, node: &Node, expected: &str) -> Result<()> {
        let found = self.text(node)?.text;
        if found == expected {
            return Ok(());
        }
        Err(wrong(self.file, node.at, format_args!("`{found}` is not supported, only `{expected}`")))
    }

    pub(super) fn required(&self, node: &Node, what: &str, field: &str, value: &str) -> Result<()> {
        if value.is_empty() { Err(wrong(self.file, node.at, format_args!("{what} needs `{field}`"))) } else { Ok(()) }
    }

    /// An error for a key that is not read: either kustomize has it and this renderer does not, or nobody does.
    pub(super) fn unknown(&self, key: &Key, inside: &str, known: &[&str], unsupported: &[&str]) -> Error {
        let path = if inside.is_empty() { key.text.clone() } else { format!("{inside}.{}", key.text) };
        if unsupported.contains(&key.text.as_str()) {
            return wrong(self.file, key.at, format_args!("`{path}` is not supported"));
        }
        let error = wrong(self.file, key.at, format_args!("unknown field `{path}`"));
        match closest(&key.text, known.iter().copied().filter(|name| !unsupported.contains(name))) {
            Some(name) => error.hint(format!("did you mean `{name}`?")),
            None => error.hint(format!("the fields are {}", known.join(", "))),
        }
    }
}
