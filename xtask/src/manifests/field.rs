//! Fields by path, as kustomize's tables name them: through lists, made on the way where the table says so.

use serde_json::{Map, Value};

use super::identity::Identity;

/// A field of certain kinds.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) of: Kind,
    pub(super) path: Vec<String>,
    pub(super) create: bool,
}

/// Which objects: what is empty fits every one.
#[derive(Debug, Default, Clone)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

impl Kind {
    /// `Kind`, `Kind.group`, or `Kind/version`.
    pub(super) fn named(name: &str) -> Self {
        let (name, version) = name.split_once('/').unwrap_or((name, ""));
        let (kind, group) = name.split_once('.').unwrap_or((name, ""));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    pub(super) fn fits(&self, identity: &Identity) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        fits(&self.kind, &identity.kind)
            && fits(&self.group, identity.group())
            && fits(&self.version, identity.version())
    }
}

/// Visits every value at a path, through lists; creates the mappings on the way if `create`.
///
/// A name that ends in `[]` is a list, which is never created.
pub(super) fn visit<S: AsRef<str>>(value: &mut Value, path: &[S], create: bool, visitor: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = path.split_first() else {
        visitor(value);
        return;
    };
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| visit(item, path, create, visitor));
        return;
    }
    let Value::Object(fields) = value else { return };
    let first = first.as_ref();
    let name = first.strip_suffix("[]").unwrap_or(first);
    if create && name == first && fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), Value::Object(Map::new()));
    }
    if let Some(next) = fields.get_mut(name) {
        visit(next, rest, create, visitor);
    }
}

/// JSON pointers to all that [`visit`] would visit, made where it would make them.
pub(super) fn places<S: AsRef<str>>(value: &mut Value, path: &[S], create: bool) -> Vec<String> {
    let mut found = Vec::new();
    visit(value, path, create, &mut |_| {});
    collect(value, path, &mut String::new(), &mut found);
    found
}

fn collect<S: AsRef<str>>(value: &Value, path: &[S], place: &mut String, found: &mut Vec<String>) {
    let Some((first, rest)) = path.split_first() else {
        found.push(place.clone());
        return;
    };
    let length = place.len();
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            place.push_str(&format!("/{index}"));
            collect(item, path, place, found);
            place.truncate(length);
        }
        return;
    }
    let name = first.as_ref();
    let name = name.strip_suffix("[]").unwrap_or(name);
    if let Some(next) = value.get(name) {
        place.push('/');
        place.push_str(&name.replace('~', "~0").replace('/', "~1"));
        collect(next, rest, place, found);
        place.truncate(length);
    }
}
