//! Who depends on whom, by UID.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Where an object is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// For example `apps/v1`.
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty for objects outside of namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One object, as far as its deletion goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) deleting: bool,
    /// Waits for its dependents to be deleted first.
    pub(super) foreground: bool,
    /// Waits for its dependents to be let go.
    pub(super) orphan: bool,
}

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

impl Node {
    pub(super) fn of(place: Place, meta: &ObjectMeta) -> Self {
        let deleting = meta.deletion_timestamp.is_some();
        let has = |name: &str| deleting && meta.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        Self {
            place,
            owners: meta.owner_references.clone().unwrap_or_default(),
            deleting,
            foreground: has(FOREGROUND),
            orphan: has(ORPHAN),
        }
    }
}

/// All objects that own or are owned, and those that might.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    // By the owner's UID, whether or not the owner is known yet.
    dependents: HashMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The UIDs of what the object owns.
    pub(super) fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }

    /// The dependents whose references say that their deletion is to be waited for.
    pub(super) fn blocking(&self, uid: &str) -> Vec<String> {
        let blocks = |dependent: &String| {
            self.nodes.get(dependent).is_some_and(|node| {
                node.owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
            })
        };
        self.dependents(uid).into_iter().filter(blocks).collect()
    }

    /// Takes in an object; the UIDs of those that it gives reason to look at.
    pub(super) fn apply(&mut self, uid: &str, node: Node) -> Vec<String> {
        let before = self.nodes.insert(uid.to_owned(), node.clone());
        let mut affected = Vec::new();
        let owners_before = before.as_ref().map(|node| node.owners.clone()).unwrap_or_default();
        for owner in &owners_before {
            if !node.owners.iter().any(|one| one.uid == owner.uid) {
                self.unlink(&owner.uid, uid);
                affected.push(owner.uid.clone());
            }
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.to_owned());
            // An owner that waits may be waiting no more, now that the reference says something else.
            if owners_before.iter().any(|one| one.uid == owner.uid && one != owner) {
                affected.push(owner.uid.clone());
            }
        }
        let owned = !node.owners.is_empty();
        let changed = before.as_ref() != Some(&node);
        if changed && (owned || node.foreground || node.orphan) {
            affected.push(uid.to_owned());
        }
        if node.foreground && !before.is_some_and(|before| before.foreground) {
            affected.extend(self.dependents(uid));
        }
        affected
    }

    /// Forgets an object; the UIDs of those that it gives reason to look at.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        let mut affected = self.dependents(uid);
        for owner in node.owners {
            self.unlink(&owner.uid, uid);
            affected.push(owner.uid);
        }
        affected
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(set) = self.dependents.get_mut(owner) {
            set.remove(dependent);
            if set.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

/// How an owner looks to what it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there.
    Solid,
    /// It is not, or another object has its name.
    Absent,
    /// It waits for its dependents to be deleted.
    Waiting,
}

/// What becomes of an owned object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// An owner is there.
    Stays,
    /// An owner is there; the references to these others are dropped.
    Drops(Vec<String>),
    /// Deleted; in the foreground if an owner waits and the object has dependents of its own.
    Deleted { foreground: bool },
}

/// Decides as the garbage collector of Kubernetes does: an object lives as long as one of its owners does.
pub(super) fn fate(owners: &[(String, Standing)], has_dependents: bool) -> Fate {
    let lost: Vec<String> =
        owners.iter().filter(|(_, standing)| *standing != Standing::Solid).map(|(uid, _)| uid.clone()).collect();
    if owners.is_empty() || lost.is_empty() {
        Fate::Stays
    } else if lost.len() < owners.len() {
        Fate::Drops(lost)
    } else {
        let waiting = owners.iter().any(|(_, standing)| *standing == Standing::Waiting);
        Fate::Deleted { foreground: waiting && has_dependents }
    }
}
