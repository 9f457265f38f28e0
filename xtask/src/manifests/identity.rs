//! What objects are told apart by while they are rendered, and what they share.

use serde_json::Value;

use super::{object::Object, scope::is_cluster_scoped};

/// What kustomize tells objects apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// `default` where none is given, [`NO_NAMESPACE`] for objects of the cluster.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// kustomize's word for where objects of the cluster live; patterns for namespaces are compared with it.
const NO_NAMESPACE: &str = "_non_namespaceable_";

/// A label that one entry of `labels` put into several places.
///
/// kustomize keeps it as one value: whoever changes it in one place, changes it in all.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) key: String,
    pub(super) value: Value,
    /// JSON pointers to the mappings that hold it.
    pub(super) places: Vec<String>,
}

impl Identity {
    pub(super) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(&self.api_version, |(_, version)| version)
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        self.namespace == NO_NAMESPACE
    }
}

impl Object {
    /// What it is told apart by now.
    pub(super) fn identity(&self) -> Identity {
        let (api_version, kind) = (self.api_version(), self.kind());
        let namespace = match self.namespace() {
            _ if is_cluster_scoped(api_version, kind) => NO_NAMESPACE,
            None | Some("") => "default",
            Some(namespace) => namespace,
        };
        Identity {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// What it was written as.
    pub(super) fn first_identity(&self) -> Identity {
        self.former.first().cloned().unwrap_or_else(|| self.identity())
    }

    /// What it was, oldest first, and what it is.
    pub(super) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.former.iter().cloned().chain([self.identity()])
    }

    /// Carries a changed label to the other places that share it.
    pub(super) fn settle(&mut self) {
        for shared in &mut self.shared {
            let key = shared.key.as_str();
            let found: Vec<Option<Value>> = shared
                .places
                .iter()
                .map(|place| self.value.pointer(place).and_then(|labels| labels.get(key)).cloned())
                .collect();
            let changed = found.iter().flatten().find(|value| **value != shared.value).cloned();
            let mut found = found.into_iter();
            shared.places.retain(|_| found.next().flatten().is_some());
            if let Some(changed) = changed {
                for place in &shared.places {
                    if let Some(labels) = self.value.pointer_mut(place) {
                        labels[key] = changed.clone();
                    }
                }
                shared.value = changed;
            }
        }
    }
}
