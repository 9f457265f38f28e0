//! References between objects follow a name that a prefix, a suffix or a hash has changed.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    field::{Kind, visit},
    identity::Identity,
    object::Object,
    referrers::referrers,
};
use crate::error::{Error, Result};

/// What may be referred to, as it is called now and as it was called before.
struct Candidate {
    now: Identity,
    /// As the object has it; `now` holds `default` where there is none.
    namespace: Option<String>,
    former: Vec<Identity>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

/// Rewrites every reference to the present name of what it refers to.
///
/// # Errors
/// A reference fits several objects that are named differently now.
pub(super) fn follow(objects: &mut [Object]) -> Result<()> {
    let candidates: Vec<Candidate> = objects.iter().filter(|object| !object.former.is_empty()).map(candidate).collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let referrers = referrers();
    for object in objects {
        let written = object.first_identity();
        for referrer in referrers.iter().filter(|referrer| referrer.of.fits(&written)) {
            let resolver = Resolver::new(object, &referrer.target, &referrer.path, &candidates);
            let mut outcome = Ok(());
            visit(&mut object.value, &referrer.path, false, &mut |found| {
                let each = match found {
                    Value::Array(items) => items.iter_mut().try_for_each(|item| resolver.rename(item)),
                    found => resolver.rename(found),
                };
                if let Err(error) = each {
                    outcome = Err(error);
                }
            });
            outcome?;
        }
    }
    Ok(())
}

fn candidate(object: &Object) -> Candidate {
    Candidate {
        now: object.identity(),
        namespace: object.namespace().filter(|namespace| !namespace.is_empty()).map(str::to_owned),
        former: object.former.clone(),
        prefixes: object.prefixes.clone(),
        suffixes: object.suffixes.clone(),
    }
}

/// Finds what one object refers to by one of its fields.
struct Resolver<'all> {
    target: &'all Kind,
    referrer: Candidate,
    position: String,
    /// The kind of role that a binding refers to.
    role: Option<Kind>,
    candidates: Vec<&'all Candidate>,
}

impl<'all> Resolver<'all> {
    fn new(object: &Object, target: &'all Kind, path: &[&str], all: &'all [Candidate]) -> Self {
        let referrer = candidate(object);
        let role = (path == ["roleRef", "name"]).then(|| &object.value["roleRef"]).and_then(|role| {
            let (group, kind) = (role["apiGroup"].as_str()?, role["kind"].as_str()?);
            Some(Kind { group: group.to_owned(), version: String::new(), kind: kind.to_owned() })
        });
        // A binding may be for accounts of other namespaces.
        let subjects = object.value["subjects"].as_array().filter(|_| object.kind() == "RoleBinding");
        let foreign: HashSet<&str> = subjects
            .into_iter()
            .flatten()
            .filter(|subject| subject["kind"] == "ServiceAccount")
            .filter_map(|subject| subject["namespace"].as_str())
            .collect();
        let within_reach = |candidate: &&Candidate| {
            referrer.now.is_cluster_scoped()
                || candidate.now.is_cluster_scoped()
                || candidate.now.namespace == referrer.now.namespace
                || candidate.namespace.as_deref().is_some_and(|namespace| foreign.contains(namespace))
        };
        let candidates = all.iter().filter(within_reach).collect();
        Self { target, position: object.position(), role, candidates, referrer }
    }

    /// Renames one reference: a name, or a mapping with name and namespace.
    fn rename(&self, found: &mut Value) -> Result<()> {
        match found {
            Value::String(name) => {
                if let Some(candidate) = self.resolve(name, &self.candidates, false)? {
                    name.clone_from(&candidate.now.name);
                }
            }
            Value::Object(fields) => {
                let Some(name) = fields.get("name").and_then(Value::as_str) else { return Ok(()) };
                let candidates = match fields.get("namespace").and_then(Value::as_str) {
                    Some(namespace) => self.of_namespace(namespace),
                    None => self.candidates.clone(),
                };
                if let Some(candidate) = self.resolve(name, &candidates, true)? {
                    fields.insert("name".into(), candidate.now.name.as_str().into());
                    if let Some(namespace) = &candidate.namespace {
                        fields.insert("namespace".into(), namespace.as_str().into());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was written in a namespace; failing that, what is in it now.
    fn of_namespace(&self, namespace: &str) -> Vec<&'all Candidate> {
        let of = |namespace_of: &dyn Fn(&Candidate) -> String| -> Vec<&'all Candidate> {
            self.candidates.iter().copied().filter(|candidate| namespace_of(candidate) == namespace).collect()
        };
        let written = of(&|candidate| candidate.former.first().unwrap_or(&candidate.now).namespace.clone());
        if written.is_empty() { of(&|candidate| candidate.now.namespace.clone()) } else { written }
    }

    fn resolve(
        &self,
        name: &str,
        candidates: &[&'all Candidate],
        with_namespace: bool,
    ) -> Result<Option<&'all Candidate>> {
        let mut fitting: Vec<&Candidate> = candidates.to_vec();
        fitting.retain(|candidate| {
            candidate.former.iter().any(|former| former.name == name)
                && candidate.former.iter().any(|former| self.target.fits(former))
                && self.role.as_ref().is_none_or(|role| candidate.former.iter().any(|former| role.fits(former)))
                && self.reaches(candidate)
        });
        // Of several that were named so, those that went through the same kustomizations.
        for or_none in [true, false] {
            if fitting.len() > 1 {
                fitting.retain(|candidate| {
                    same_ending(&candidate.prefixes, &self.referrer.prefixes, or_none)
                        && same_ending(&candidate.suffixes, &self.referrer.suffixes, or_none)
                });
            }
        }
        let Some((first, rest)) = fitting.split_first() else { return Ok(None) };
        let other = rest
            .iter()
            .find(|other| other.now.name != first.now.name || (with_namespace && other.namespace != first.namespace));
        match other {
            None => Ok(Some(*first)),
            Some(second) => Err(Error::usage(format!(
                "{}: {} {} refers to {} {name}, which is {} or {} now",
                self.position,
                self.referrer.now.kind,
                self.referrer.now.name,
                self.target.kind,
                first.now.name,
                second.now.name
            ))),
        }
    }

    fn reaches(&self, candidate: &Candidate) -> bool {
        self.referrer.now.is_cluster_scoped()
            || candidate.now.is_cluster_scoped()
            || candidate.now.kind == "ServiceAccount"
            || candidate.now.namespace == self.referrer.now.namespace
    }
}

/// Whether two lists of affixes agree from the outermost inwards, as far as the shorter one goes.
fn same_ending(left: &[String], right: &[String], or_none: bool) -> bool {
    if left.is_empty() || right.is_empty() {
        return or_none || left.len() == right.len();
    }
    left.iter().rev().zip(right.iter().rev()).all(|(left, right)| left == right)
}
