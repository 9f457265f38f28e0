//! One object of the rendered set: its value, its identity, and where it is written.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value};

use super::yaml::{Node, Position, wrong};
use crate::error::Result;

/// Which object: enough to find it in a cluster and to name it in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
    /// The names that it had before prefixes, suffixes and hashes, oldest first: references use any of them.
    pub(super) former: Vec<Former>,
    /// The kustomizations that it went through, innermost first; tells objects of the same former name apart.
    pub(super) lineage: Vec<usize>,
    /// Whether the name gets a hash of the content.
    pub(super) hashed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Where an object is written.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<str>,
    pub(super) at: Position,
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
        let source = Source { file: Arc::clone(file), at: node.at, fields: Arc::new(node.positions()) };
        Ok(Self::new(value, source))
    }

    pub(super) fn new(value: Value, source: Source) -> Self {
        Self { value, source, former: Vec::new(), lineage: Vec::new(), hashed: false }
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
        format!("{}:{}", self.source.file, self.source.at.line)
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

    /// Remembers the present name and namespace as one that references may use.
    pub(super) fn remember(&mut self) {
        let present = Former { namespace: self.namespace().map(str::to_owned), name: self.name().to_owned() };
        if self.former.last() != Some(&present) {
            self.former.push(present);
        }
    }

    /// The name that it was written with.
    pub(super) fn first_name(&self) -> &str {
        self.former.first().map_or(self.name(), |former| &former.name)
    }

    fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }
}

/// Kinds of the cluster, by kind name: what is not here lives in a namespace, custom resources included, as
/// kustomize also takes it.
pub(super) fn is_cluster_scoped(kind: &str) -> bool {
    const KINDS: [&str; 28] = [
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersion",
        "ValidatingAdmissionPolicy",
        "VolumeAttachment",
    ];
    KINDS.binary_search(&kind).is_ok()
        || matches!(
            kind,
            "ValidatingAdmissionPolicyBinding" | "ValidatingWebhookConfiguration" | "VolumeAttributesClass"
        )
}
