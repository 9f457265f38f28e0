//! One object of the rendered set: its value, its identity, and where it is written.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    identity::{Identity, Shared},
    yaml::{Node, Position, wrong},
};
use crate::error::Result;

/// Which object: enough to find it in a cluster and to name it in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// None for objects of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// A manifest after rendering.
#[derive(Debug, Clone)]
pub struct Object {
    pub(super) value: Value,
    pub(super) source: Source,
    /// What it was called before prefixes, suffixes and hashes, oldest first: references use any of them.
    pub(super) former: Vec<Identity>,
    /// What was put around its name, innermost first; tells objects of the same former name apart.
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    /// Whether the name gets a hash of the content.
    pub(super) hashed: bool,
    /// Labels that are one value in several places.
    pub(super) shared: Vec<Shared>,
}

/// Where an object is written.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<str>,
    /// None: it is not written in a file of the tree.
    pub(super) at: Option<Position>,
    pub(super) fields: Arc<BTreeMap<String, Position>>,
}

impl ObjectRef {
    /// The group of the API version; empty for core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
            None => write!(formatter, "{} {}", self.kind, self.name),
        }
    }
}

impl Object {
    /// An object out of one YAML document.
    ///
    /// # Errors
    /// The document is not an object, or has no apiVersion, kind or name.
    pub(super) fn from_node(file: &Arc<str>, node: &Node) -> Result<Self> {
        let value = node.to_value();
        if !value.is_object() {
            return Err(wrong(file, node.at, "a manifest is a mapping with apiVersion, kind and metadata"));
        }
        for (field, found) in [
            ("apiVersion", &value["apiVersion"]),
            ("kind", &value["kind"]),
            ("metadata.name", &value["metadata"]["name"]),
        ] {
            if found.as_str().is_none_or(str::is_empty) {
                return Err(wrong(file, node.at, format_args!("the manifest has no {field}")));
            }
        }
        let source = Source { file: Arc::clone(file), at: Some(node.at), fields: Arc::new(node.positions()) };
        Ok(Self::new(value, source))
    }

    /// An object that was rendered before and kept; `origin` takes the place of its file.
    pub(crate) fn recorded(value: Value, origin: &str) -> Self {
        Self::new(value, Source { file: origin.into(), at: None, fields: Arc::default() })
    }

    pub(super) fn new(value: Value, source: Source) -> Self {
        Self {
            value,
            source,
            former: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            hashed: false,
            shared: Vec::new(),
        }
    }

    /// The object as the API takes it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object as the API takes it.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// `apps/v1`
    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// `Deployment`
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// The name after rendering.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The namespace, if the manifest names one.
    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }

    /// Its identity.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// `manifests/base/deployment.yaml:1`: where the manifest begins.
    pub fn position(&self) -> String {
        match self.source.at {
            Some(at) => format!("{}:{}", self.source.file, at.line),
            None => self.source.file.to_string(),
        }
    }

    /// `manifests/base/deployment.yaml:12:7`: where this field is written, or the nearest field around it.
    ///
    /// The path is in the API server's notation, `spec.template.spec.containers[0].image`.
    pub fn field_position(&self, path: &str) -> String {
        let mut path = path;
        loop {
            if let Some(at) = self.source.fields.get(path) {
                return format!("{}:{}:{}", self.source.file, at.line, at.column);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.position(),
            }
        }
    }

    pub(super) fn metadata(&mut self) -> Option<&mut Map<String, Value>> {
        self.value["metadata"].as_object_mut()
    }

    /// Gives it another name and remembers the one before.
    pub(super) fn rename(&mut self, name: String) {
        self.remember();
        self.value["metadata"]["name"] = name.into();
    }

    /// Remembers the present identity as one that references may use.
    pub(super) fn remember(&mut self) {
        let present = self.identity();
        if self.former.last() != Some(&present) {
            self.former.push(present);
        }
    }

    fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }
}
