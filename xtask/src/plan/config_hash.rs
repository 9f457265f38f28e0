//! Pods start anew when a ConfigMap or a Secret that they read changes: their template carries a hash of it.
//!
//! The hash must not tell anything of a Secret to those who may see its pods only, however easy its values are to
//! guess. So it is keyed with the UID of the object, 122 random bits that only those know who may read the object. An
//! object that is new has none before it is made; then the hash is filled in between its apply and the workload's.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::ObjectRef;
use crate::secrets;

/// The annotation of pod templates.
const ANNOTATION: &str = "slipway.dev/config-hash";

/// Its value in a plan where an object has to be made first.
const LATER: &str = "known-after-apply";

/// What pods may read, by kind, namespace and name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configs(BTreeMap<Key, Config>);

type Key = (&'static str, String, String);

#[derive(Debug, Clone)]
struct Config {
    uid: Option<String>,
    content: [u8; 32],
}

impl Configs {
    /// Adds an object, if pods can read it; without a UID while it is not there.
    pub(super) fn add(&mut self, object: &ObjectRef, desired: &Value, uid: Option<String>) {
        if let Some(key) = key(object) {
            self.0.insert(key, Config { uid, content: content(desired) });
        }
    }

    /// Remembers what an object was made as.
    pub(crate) fn made(&mut self, object: &ObjectRef, uid: String) {
        if let Some(config) = key(object).and_then(|key| self.0.get_mut(&key)) {
            config.uid = Some(uid);
        }
    }

    /// Whether the hash of a workload had to wait for something to be made.
    pub(crate) fn awaited(workload: &Value) -> bool {
        workload["spec"]["template"]["metadata"]["annotations"][ANNOTATION] == LATER
    }

    /// Writes the hash into a workload's template, if it reads any of these. Whether it has to be written again later.
    pub(crate) fn annotate(&self, workload: &mut Value, namespace: Option<&str>) -> bool {
        let kind = workload["kind"].as_str().unwrap_or_default();
        // What a Job runs cannot be changed, and a CronJob's next run reads what is there then.
        if !matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet") {
            return false;
        }
        let mut names = Vec::new();
        references(&workload["spec"]["template"]["spec"], &mut names);
        names.sort_unstable();
        names.dedup();
        let namespace = namespace.unwrap_or_default();
        let read: Vec<(&Key, &Config)> = names
            .into_iter()
            .filter_map(|(kind, name)| self.0.get_key_value(&(kind, namespace.to_owned(), name.to_owned())))
            .collect();
        if read.is_empty() {
            return false;
        }
        let mut hash = Sha256::new();
        let mut later = false;
        for ((kind, _, name), config) in read {
            let Some(uid) = &config.uid else {
                later = true;
                break;
            };
            for part in [kind.as_bytes(), name.as_bytes(), uid.as_bytes(), &config.content] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let value = if later { LATER.to_owned() } else { hex::encode(hash.finalize())[..16].to_owned() };
        let template = &mut workload["spec"]["template"];
        ensure(ensure(template, "metadata"), "annotations")[ANNOTATION] = value.into();
        later
    }
}

/// The mapping of this name, made if it is not there.
fn ensure<'a>(parent: &'a mut Value, name: &str) -> &'a mut Value {
    let inner = &mut parent[name];
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    inner
}

fn key(object: &ObjectRef) -> Option<Key> {
    let kind = match (object.api_version.as_str(), object.kind.as_str()) {
        ("v1", "ConfigMap") => "ConfigMap",
        ("v1", "Secret") => "Secret",
        _ => return None,
    };
    Some((kind, object.namespace.clone().unwrap_or_default(), object.name.clone()))
}

/// A hash of what pods can read of it, however it is written. What AWS keeps is known by its version.
fn content(object: &Value) -> [u8; 32] {
    if let Some(origins) = secrets::annotation(object) {
        return Sha256::digest(origins).into();
    }
    let mut values: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let encoded = if object["kind"] == "Secret" { "data" } else { "binaryData" };
    let plain = if object["kind"] == "Secret" { "stringData" } else { "data" };
    for (field, decode) in [(encoded, true), (plain, false)] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let decoded = decode.then(|| BASE64_STANDARD.decode(text).ok()).flatten();
            values.insert(key, decoded.unwrap_or_else(|| text.as_bytes().to_vec()));
        }
    }
    let mut hash = Sha256::new();
    for (key, value) in values {
        for part in [key.as_bytes(), &value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// The ConfigMaps and Secrets that a pod's specification names: for variables and for volumes.
fn references<'a>(spec: &'a Value, found: &mut Vec<(&'static str, &'a str)>) {
    match spec {
        Value::Object(fields) => {
            for (field, value) in fields {
                let (kind, name) = match field.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => ("ConfigMap", &value["name"]),
                    // A volume says secretName, a projected one name.
                    "secret" if value.get("secretName").is_some() => ("Secret", &value["secretName"]),
                    "secret" | "secretRef" | "secretKeyRef" => ("Secret", &value["name"]),
                    _ => {
                        references(value, found);
                        continue;
                    }
                };
                found.extend(name.as_str().map(|name| (kind, name)));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str) -> ObjectRef {
        ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: Some("app".into()), name: name.into() }
    }

    fn workload() -> Value {
        json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}],
            "containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "c"}}]}]
        }}}})
    }

    #[test]
    fn the_hash_follows_content_and_object_and_nothing_else() {
        let hash = |config: Value, uid: &str| {
            let mut configs = Configs::default();
            configs.add(&object("ConfigMap", "c"), &config, Some(uid.into()));
            let mut workload = workload();
            assert!(!configs.annotate(&mut workload, Some("app")));
            workload["spec"]["template"]["metadata"]["annotations"][ANNOTATION].as_str().expect("a hash").to_owned()
        };
        let config = |value: &str, label: &str| json!({"kind": "ConfigMap", "metadata": {"labels": {"l": label}}, "data": {"k": value}});
        let first = hash(config("1", "a"), "u");
        assert_eq!(first.len(), 16);
        assert_eq!(first, hash(config("1", "b"), "u"));
        assert_ne!(first, hash(config("2", "a"), "u"));
        assert_ne!(first, hash(config("1", "a"), "other"), "it is keyed with the UID");
    }

    #[test]
    fn a_new_object_is_waited_for() {
        let mut configs = Configs::default();
        let secret = json!({"kind": "Secret", "stringData": {"k": "v"}});
        configs.add(&object("Secret", "s"), &secret, None);
        let mut planned = workload();
        assert!(configs.annotate(&mut planned, Some("app")));
        assert_eq!(planned["spec"]["template"]["metadata"]["annotations"][ANNOTATION], LATER);
        configs.made(&object("Secret", "s"), "u".into());
        assert!(!configs.annotate(&mut planned, Some("app")));
        assert_ne!(planned["spec"]["template"]["metadata"]["annotations"][ANNOTATION], LATER);
    }

    #[test]
    fn who_reads_nothing_of_the_set_is_left_alone() {
        let mut configs = Configs::default();
        configs.add(&object("ConfigMap", "another"), &json!({"kind": "ConfigMap"}), Some("u".into()));
        let mut planned = workload();
        configs.annotate(&mut planned, Some("app"));
        assert_eq!(planned, workload());
    }

    #[test]
    fn stringdata_and_data_are_the_same_content() {
        let plain = json!({"kind": "Secret", "stringData": {"k": "v"}});
        let encoded = json!({"kind": "Secret", "data": {"k": "dg=="}});
        assert_eq!(content(&plain), content(&encoded));
    }
}
