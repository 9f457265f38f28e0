//! Sets of field paths, and their form in `managedFields` (FieldsV1 of structured-merge-diff).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::Node;

/// One step of a path in its serialised form: `f:name`, `k:{"port":80}`, `v:"x"` or `i:0`.
pub(super) type Element = String;

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set(BTreeMap<Element, Entry>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    /// The path that ends here is in the set.
    member: bool,
    below: Set,
}

/// `f:name`
pub(super) fn field(name: &str) -> Element {
    format!("f:{name}")
}

/// A path as conflicts name it, for example `.spec.containers[name="main"].image`.
pub(super) fn display(path: &[Element]) -> String {
    path.iter().map(|element| show(element)).collect()
}

pub(super) fn show(element: &str) -> String {
    match element.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let fields: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", fields.join(","))
        }
        ("v:", value) => format!("[={value}]"),
        (_, index) => format!("[{index}]"),
    }
}

/// An element with its JSON in canonical form; `None` for one that is none.
fn canonical(element: &str) -> Option<Element> {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match element.split_at_checked(2)? {
        ("f:", _) => Some(element.to_owned()),
        ("k:", key) => json(key).filter(Value::is_object).map(|key| format!("k:{key}")),
        ("v:", value) => json(value).map(|value| format!("v:{value}")),
        ("i:", index) => index.parse::<i64>().ok().map(|index| format!("i:{index}")),
        _ => None,
    }
}

impl Set {
    /// Reads FieldsV1; `None` where it is malformed.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in value.as_object()? {
            if name == "." {
                continue;
            }
            let map = below.as_object()?;
            let member = map.is_empty() || map.contains_key(".");
            set.0.insert(canonical(name)?, Entry { member, below: Self::from_json(below)? });
        }
        Some(set)
    }

    /// Writes FieldsV1.
    pub(super) fn to_json(&self) -> Value {
        let fields = self.0.iter().map(|(name, entry)| {
            let mut below = entry.below.to_json();
            if let Value::Object(map) = &mut below
                && entry.member
                && !map.is_empty()
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (name.clone(), below)
        });
        Value::Object(fields.collect())
    }

    pub(super) fn from_path(path: &[&str]) -> Self {
        let mut set = Self::default();
        let path: Vec<Element> = path.iter().map(|name| field(name)).collect();
        set.insert(&path);
        set
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let entry = self.0.entry(first.clone()).or_default();
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.below.insert(rest);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|entry| !entry.member && entry.below.is_empty())
    }

    /// Whether the path of one element is in the set.
    pub(super) fn has(&self, element: &str) -> bool {
        self.0.get(element).is_some_and(|entry| entry.member)
    }

    /// What is in the set below an element.
    pub(super) fn below(&self, element: &str) -> Option<&Self> {
        self.0.get(element).map(|entry| &entry.below).filter(|below| !below.is_empty())
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut set = self.clone();
        for (name, entry) in &other.0 {
            let mine = set.0.entry(name.clone()).or_default();
            mine.member |= entry.member;
            mine.below = mine.below.union(&entry.below);
        }
        set
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && theirs, Self::intersection, |_| Self::default())
    }

    /// What is in this set and not in the other, path by path.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs, Self::difference, Self::clone)
    }

    /// As [`Set::difference`], and without everything below the other's paths.
    pub(super) fn recursive_difference(&self, other: &Self) -> Self {
        let mut set = self.difference(other);
        for (name, entry) in &other.0 {
            if entry.member {
                set.0.remove(name);
            } else if let Some(mine) = set.0.get_mut(name) {
                mine.below = mine.below.recursive_difference(&entry.below);
            }
        }
        set.pruned()
    }

    fn combine(
        &self,
        other: &Self,
        member: impl Fn(bool, bool) -> bool,
        below: impl Fn(&Self, &Self) -> Self,
        alone: impl Fn(&Self) -> Self,
    ) -> Self {
        let entries = self.0.iter().map(|(name, mine)| {
            let entry = match other.0.get(name) {
                Some(theirs) => {
                    Entry { member: member(mine.member, theirs.member), below: below(&mine.below, &theirs.below) }
                }
                None => Entry { member: member(mine.member, false), below: alone(&mine.below) },
            };
            (name.clone(), entry)
        });
        Self(entries.collect()).pruned()
    }

    /// Without entries that hold nothing.
    fn pruned(mut self) -> Self {
        self.0.retain(|_, entry| entry.member || !entry.below.is_empty());
        self
    }

    /// With every named field of a struct on the way to a member made a member itself, so that removing the members
    /// removes the structs that get empty by it.
    pub(super) fn with_named_fields(&self, node: Node<'_>) -> Self {
        let entries = self.0.iter().map(|(name, entry)| {
            let child = match name.strip_prefix("f:") {
                Some(field) => node.child(field),
                None => Some(node.item()),
            };
            let named = name.starts_with("f:") && child.is_some_and(|child| child.field.is_some());
            let below = child.map_or_else(|| entry.below.clone(), |child| entry.below.with_named_fields(child));
            (name.clone(), Entry { member: entry.member || (named && !entry.below.is_empty()), below })
        });
        Self(entries.collect())
    }

    /// Every path of the set, in order.
    pub(super) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        for (name, entry) in &self.0 {
            if entry.member {
                paths.push(vec![name.clone()]);
            }
            for mut path in entry.below.paths() {
                path.insert(0, name.clone());
                paths.push(path);
            }
        }
        paths
    }
}
