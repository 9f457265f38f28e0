//! The kinds that the server serves, as discovery describes them.

mod builtin;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use builtin::{GROUP_ORDER, builtin};

use crate::custom::Custom;

/// One kind of object and how it is reached.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The API group; empty for core.
    pub group: String,
    /// The version, for example `v1`.
    pub version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// For example `deployments`.
    pub plural: String,
    /// For example `deployment`.
    pub singular: String,
    /// For example `deploy`.
    pub short_names: Vec<String>,
    /// For example `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with objects, for example `deletecollection`.
    pub verbs: &'static [&'static str],
    /// What objects have below their own path.
    pub subresources: Vec<Subresource>,
    /// The `resource.group` under which objects are stored. Two resources with one storage show the same objects:
    /// Events of the core group and of events.k8s.io, HorizontalPodAutoscalers of both versions.
    pub storage: String,
    /// The group, version and kind that the storage version hash is made of.
    pub storage_version: String,
    /// What a CustomResourceDefinition says of it.
    pub custom: Option<Arc<Custom>>,
}

/// A path below an object, for example `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path.
    pub name: String,
    /// The kind of the request's and the response's object.
    pub kind: String,
    /// Group and version of that kind where they are not the resource's own.
    pub group_version: Option<(&'static str, &'static str)>,
    /// What can be done.
    pub verbs: &'static [&'static str],
}

impl Resource {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, or `pods` in the core group: how messages name a resource.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Deployment.apps`, or `Pod` in the core group: how messages about invalid objects name a kind.
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether objects are kept: reviews such as SubjectAccessReview are answered and forgotten.
    pub fn stored(&self) -> bool {
        self.verbs.contains(&"get")
    }
}
