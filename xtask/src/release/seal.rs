//! Secrets stay out of the ledger: a record has fingerprints in their places, and a rollback takes the values from the
//! cluster, where they still are.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, ReplicaSet},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::Content;
use crate::{
    config::Unit,
    error::{Error, Result},
    manifests::Object,
    plan::{mask, ownership, request, served},
};

/// The content of a record, with values again that were sealed in it.
#[derive(Debug)]
pub struct Unsealed {
    /// What is to be applied.
    pub objects: Vec<Object>,
    /// Secrets whose values are not those of the release any more, and stay what they are.
    pub kept: Vec<String>,
}

impl Content {
    /// What a release of these objects records: nothing of what is secret in them.
    pub fn seal(objects: &[Object], changes: Vec<String>, salt: &str) -> Self {
        let (mut values, mut sealed) = (Vec::new(), Vec::new());
        for object in objects {
            let mut open = object.value().clone();
            encode(&mut open);
            let mut closed = open.clone();
            mask::seal(&mut closed, salt);
            sealed.push(pairs(&open, &closed).into_iter().map(|pair| pair.path).collect());
            values.push(closed);
        }
        Self { objects: values, sealed, changes }
    }

    /// The objects as they were, as far as the cluster still has what was sealed.
    ///
    /// # Errors
    /// A value that a workload needs is nowhere any more.
    pub async fn unseal(&self, client: &Client, unit: Unit<'_>, salt: &str, origin: &str) -> Result<Unsealed> {
        let mut objects = self.objects.clone();
        let (mut kept, mut missing) = (BTreeSet::new(), Vec::new());
        if self.sealed.iter().any(|paths| !paths.is_empty()) {
            let live = live(client, unit, &objects).await?;
            let known: BTreeMap<String, String> = live.iter().flat_map(|live| donations(live, salt)).collect();
            for (object, paths) in objects.iter_mut().zip(&self.sealed) {
                let present = live.iter().find(|live| same(live, object, unit));
                let opened = unseal(object, paths, present, &known);
                kept.extend(opened.kept);
                missing.extend(opened.missing);
            }
        }
        if !missing.is_empty() {
            let count = missing.len();
            let error = Error::failed(format!(
                "go back to {origin}: {count} secret values of it are not in the cluster any more"
            ));
            let error = missing.into_iter().fold(error, Error::cause);
            return Err(error.hint("secrets are not in the ledger: check that version out and deploy it"));
        }
        let objects = objects.into_iter().map(|value| Object::recorded(value, origin)).collect();
        Ok(Unsealed { objects, kept: kept.into_iter().collect() })
    }
}

/// What became of the sealed values of an object.
#[derive(Debug, Default)]
struct Opened {
    /// The Secret, if it keeps values that are not those of the record.
    kept: Vec<String>,
    /// Values that are nowhere.
    missing: Vec<String>,
}

/// Puts what is known in the places of what was sealed.
fn unseal(object: &mut Value, paths: &[String], present: Option<&Value>, known: &BTreeMap<String, String>) -> Opened {
    let mut opened = Opened::default();
    let named = format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
    let is_secret = object["kind"] == "Secret";
    for path in paths {
        let Some(value) = object.pointer_mut(path) else { continue };
        let now = present.and_then(|live| live.pointer(path)?.as_str());
        if let Some(open) = value.as_str().and_then(|sealed| open(sealed, known)) {
            *value = open.into();
        } else if let Some(now) = now.filter(|_| is_secret) {
            *value = now.into();
            opened.kept = vec![named.clone()];
        } else {
            opened.missing.push(format!("{named}: {}", path.trim_start_matches('/').replace('/', ".")));
        }
    }
    opened
}

/// A text without its seals, if all of them are known: as a whole, or what was sealed within it.
fn open(sealed: &str, known: &BTreeMap<String, String>) -> Option<String> {
    if let Some(open) = known.get(sealed) {
        return Some(open.clone());
    }
    let mut text = String::new();
    let mut rest = sealed;
    while let Some(range) = mask::seal_in(rest) {
        text.push_str(&rest[..range.start]);
        text.push_str(known.get(&rest[range.clone()])?);
        rest = &rest[range.end..];
    }
    Some(text + rest).filter(|text| text != sealed)
}

/// A place where something was sealed, as a JSON pointer.
struct Pair {
    path: String,
    open: String,
    closed: String,
}

/// Where two trees of one shape differ.
fn pairs(open: &Value, closed: &Value) -> Vec<Pair> {
    fn walk(path: &str, open: &Value, closed: &Value, found: &mut Vec<Pair>) {
        match (open, closed) {
            (Value::Object(open), Value::Object(closed)) => {
                for (key, open) in open {
                    let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                    closed.get(key).into_iter().for_each(|closed| walk(&path, open, closed, found));
                }
            }
            (Value::Array(open), Value::Array(closed)) => {
                let items = open.iter().zip(closed).enumerate();
                items.for_each(|(index, (open, closed))| walk(&format!("{path}/{index}"), open, closed, found));
            }
            (Value::String(open), Value::String(closed)) if open != closed => {
                found.push(Pair { path: path.to_owned(), open: open.clone(), closed: closed.clone() });
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk("", open, closed, &mut found);
    found
}

/// What a live object can give: the values in it by what they are when sealed.
fn donations(live: &Value, salt: &str) -> Vec<(String, String)> {
    let mut closed = live.clone();
    mask::seal(&mut closed, salt);
    let pairs = pairs(live, &closed);
    let parts: Vec<(String, String)> = pairs.iter().filter_map(part).collect();
    pairs.into_iter().map(|pair| (pair.closed, pair.open)).chain(parts).collect()
}

/// What was sealed within a text, a password in a URL for example: what is not the same before and after.
fn part(pair: &Pair) -> Option<(String, String)> {
    let (open, closed) = (&pair.open, &pair.closed);
    let range = mask::seal_in(closed).filter(|range| mask::seal_in(&closed[range.end..]).is_none())?;
    let value = open.strip_prefix(&closed[..range.start])?.strip_suffix(&closed[range.end..])?;
    Some((closed[range].to_owned(), value.to_owned()))
}

/// `stringData` as the API server keeps it, so that what is recorded can be compared with what is there.
fn encode(object: &mut Value) {
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return;
    }
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|object| object.remove("stringData")) else {
        return;
    };
    if !object["data"].is_object() {
        object["data"] = serde_json::json!({});
    }
    for (key, value) in plain {
        object["data"][key] = BASE64_STANDARD.encode(text(&value)).into();
    }
}

/// Where values may still be: the objects themselves, Secrets of earlier generations, and what the pods of earlier
/// releases were made from.
async fn live(client: &Client, unit: Unit<'_>, objects: &[Value]) -> Result<Vec<Value>> {
    let namespace = |object: &Value| match &object["metadata"]["namespace"] {
        Value::String(namespace) => namespace.clone(),
        _ => unit.service.namespace.clone(),
    };
    let namespaces: BTreeSet<String> = objects.iter().map(namespace).collect();
    let (doing, all) = ("look for the secrets of the release", ListParams::default());
    let ours = ListParams::default().labels(&format!("{}={}", ownership::ID, ownership::id(unit)));
    let mut found = Vec::new();
    for namespace in &namespaces {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
        let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
        let lists = tokio::try_join!(secrets.list(&ours), sets.list(&all), revisions.list(&all));
        let (secrets, sets, revisions) = request::words(doing, lists)?;
        found.extend(secrets.items.iter().filter_map(|item| value("v1", "Secret", item)));
        found.extend(sets.items.iter().filter_map(|item| value("apps/v1", "ReplicaSet", item)));
        found.extend(revisions.items.iter().filter_map(|item| value("apps/v1", "ControllerRevision", item)));
    }
    for object in objects.iter().filter(|object| object["kind"] != "Secret") {
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let kinds = served(client, api_version).await?;
        let Some(served) = kinds.into_iter().find(|served| served.resource.kind == kind) else { continue };
        let api: Api<DynamicObject> = served.api(client, Some(&namespace(object)));
        let live = request::words(doing, api.get_opt(text(&object["metadata"]["name"])).await)?;
        found.extend(live.and_then(|live| serde_json::to_value(live).ok()));
    }
    Ok(found)
}

/// An item of a list says neither its version nor its kind.
fn value(api_version: &str, kind: &str, item: &impl serde::Serialize) -> Option<Value> {
    let mut value = serde_json::to_value(item).ok()?;
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    Some(value)
}

fn same(live: &Value, object: &Value, unit: Unit<'_>) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&unit.service.namespace);
    live["kind"] == object["kind"]
        && live["metadata"]["name"] == object["metadata"]["name"]
        && live["metadata"]["namespace"].as_str().is_none_or(|live| live == namespace)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
