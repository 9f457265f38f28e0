//! What a deploy deletes: live objects of the service that its manifests do not hold any more.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Action, ObjectRef, Plan, search::Found};

/// Kinds whose deletion takes data or other people's objects along, and so is never implied.
const PROTECTED: [&str; 4] = ["Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"];

/// Which protected kinds may be deleted all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unprotected(BTreeSet<Protected>);

/// A protected kind, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protected {
    /// Every protected kind.
    All,
    /// This one.
    Kind(String),
}

impl FromStr for Protected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        match PROTECTED.iter().find(|kind| kind.eq_ignore_ascii_case(text)) {
            Some(kind) => Ok(Self::Kind((*kind).to_owned())),
            None => Err(format!("one of {} or all was expected", PROTECTED.join(", "))),
        }
    }
}

impl FromIterator<Protected> for Unprotected {
    fn from_iter<T: IntoIterator<Item = Protected>>(kinds: T) -> Self {
        Self(kinds.into_iter().collect())
    }
}

impl Unprotected {
    /// Whether an object may be deleted.
    pub(crate) fn admits(&self, object: &ObjectRef) -> bool {
        !PROTECTED.contains(&object.kind.as_str())
            || self.0.contains(&Protected::All)
            || self.0.contains(&Protected::Kind(object.kind.clone()))
    }
}

/// What is to go, and what stays although it is in no manifest any more.
pub(super) fn split(
    found: Vec<Found>,
    wanted: &BTreeSet<ObjectRef>,
    unprotected: &Unprotected,
) -> (Vec<Found>, Vec<ObjectRef>) {
    // The version does not matter: the same object is reached by each of them.
    let key = |object: &ObjectRef| {
        let group = object.group().to_owned();
        (group, object.kind.clone(), object.namespace.clone(), object.name.clone())
    };
    let wanted: BTreeSet<_> = wanted.iter().map(key).collect();
    let gone = found.into_iter().filter(|found| !found.is_hook && !wanted.contains(&key(&found.object)));
    let (doomed, left): (Vec<_>, Vec<_>) = gone.partition(|found| unprotected.admits(&found.object));
    (doomed, left.into_iter().map(|found| found.object).collect())
}

impl Plan {
    /// Whether anything is deleted.
    pub fn deletes(&self) -> bool {
        self.changes.iter().any(|change| change.action == Action::Delete)
    }

    /// Whether it deletes ConfigMaps or Secrets of generated names, which [`Plan::keep`] may want to save.
    pub fn deletes_generated(&self) -> bool {
        self.changes.iter().any(|change| change.action == Action::Delete && has_hash(&change.object))
    }

    /// Keeps the generated ConfigMaps and Secrets that earlier releases consist of: going back to one needs them.
    pub fn keep(&mut self, released: &BTreeSet<ObjectRef>) {
        // What is recorded may leave the namespace to the environment.
        let is_released = |object: &ObjectRef| {
            released.contains(object) || released.contains(&ObjectRef { namespace: None, ..object.clone() })
        };
        self.changes.retain(|change| {
            change.action != Action::Delete || !has_hash(&change.object) || !is_released(&change.object)
        });
    }
}

/// Whether the name ends in a hash of the content, as generators make them: such an object is one version of itself,
/// and an earlier release refers to another one.
pub(crate) fn has_hash(object: &ObjectRef) -> bool {
    const DIGITS: &str = "456789bcdfghkmt2";
    let hash = object.name.rsplit_once('-').map(|(_, hash)| hash);
    matches!(object.kind.as_str(), "ConfigMap" | "Secret")
        && hash.is_some_and(|hash| hash.len() == 10 && hash.chars().all(|digit| DIGITS.contains(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generated_names_have_hashes() {
        let object = |kind: &str, name: &str| ObjectRef {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: None,
            name: name.into(),
        };
        assert!(has_hash(&object("ConfigMap", "app-m2fgkh4b69")));
        assert!(!has_hash(&object("Service", "app-m2fgkh4b69")));
        assert!(!has_hash(&object("ConfigMap", "app-production")));
        assert!(!has_hash(&object("Secret", "app")));
    }

    #[test]
    fn protected_kinds_go_only_when_named() {
        let claim = ObjectRef {
            api_version: "v1".into(),
            kind: "PersistentVolumeClaim".into(),
            namespace: Some("app".into()),
            name: "data".into(),
        };
        let unprotected = |text: &str| Unprotected::from_iter([text.parse::<Protected>().expect("it is one")]);
        assert!(!Unprotected::default().admits(&claim));
        assert!(!unprotected("Namespace").admits(&claim));
        assert!(unprotected("persistentvolumeclaim").admits(&claim));
        assert!(unprotected("all").admits(&claim));
        assert!("Pod".parse::<Protected>().is_err());
    }
}
