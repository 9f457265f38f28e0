//! Strategic merge as kustomize does it: lists of the built-in kinds merge by key, what the patch names comes first.

use serde_json::{Map, Value};

use super::identity::Identity;

/// What has become of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Merged,
    Deleted,
}

/// Merges a patch into an object.
///
/// # Errors
/// The directive that is not supported.
pub(super) fn strategic(value: &mut Value, patch: &Value, identity: &Identity) -> Result<Outcome, String> {
    Merger { built_in: is_built_in(identity) }.merge(value, patch, &[])
}

struct Merger {
    built_in: bool,
}

/// How a list merges.
enum Strategy {
    Replace,
    /// By the fields that tell its items apart.
    Keys(&'static [&'static str]),
    /// A set of texts.
    Values,
}

impl Merger {
    fn merge(&self, value: &mut Value, patch: &Value, path: &[&str]) -> Result<Outcome, String> {
        match patch {
            Value::Object(patch) => self.map(value, patch, path),
            Value::Array(items) => self.list(value, items, path),
            scalar => {
                *value = scalar.clone();
                Ok(Outcome::Merged)
            }
        }
    }

    fn map(&self, value: &mut Value, patch: &Map<String, Value>, path: &[&str]) -> Result<Outcome, String> {
        match patch.get("$patch").map(|directive| directive.as_str().unwrap_or_default()) {
            Some("delete") => return Ok(Outcome::Deleted),
            Some("replace") => *value = Value::Object(Map::new()),
            Some("merge") | None => {}
            Some(other) => return Err(format!("`$patch: {other}` is not supported")),
        }
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        let fields = value.as_object_mut().expect("made an object above");
        for (key, patch) in patch.iter().filter(|(key, _)| *key != "$patch") {
            // No API server takes an object with one of these in it.
            if key.starts_with("$setElementOrder")
                || key.starts_with("$deleteFromPrimitiveList")
                || key == "$retainKeys"
            {
                return Err(format!("`{key}` is not supported: kustomize would leave it in the object"));
            }
            if patch.is_null() {
                fields.remove(key);
                continue;
            }
            let present = fields.contains_key(key);
            let found = fields.entry(key.clone()).or_insert(Value::Null);
            let path = [path, &[key.as_str()]].concat();
            if self.merge(found, patch, &path)? == Outcome::Deleted || (!present && found.is_null()) {
                fields.remove(key);
            }
        }
        Ok(Outcome::Merged)
    }

    fn list(&self, value: &mut Value, patch: &[Value], path: &[&str]) -> Result<Outcome, String> {
        let directive = |name: &str| {
            patch.iter().any(|item| item["$patch"] == name && item.as_object().is_some_and(|item| item.len() == 1))
        };
        if directive("delete") {
            return Ok(Outcome::Deleted);
        }
        let keys = match self.strategy(path, patch) {
            Strategy::Values if value.is_array() => {
                let mut merged: Vec<Value> = patch.to_vec();
                merged.extend(value.as_array().into_iter().flatten().cloned());
                let mut seen = Vec::new();
                merged.retain(|item| {
                    !seen.contains(item) && {
                        seen.push(item.clone());
                        true
                    }
                });
                *value = merged.into();
                return Ok(Outcome::Merged);
            }
            Strategy::Keys(keys) if value.is_array() && !directive("replace") => keys,
            _ => {
                *value = self.fresh(patch, path)?;
                return Ok(Outcome::Merged);
            }
        };
        let old = std::mem::take(value.as_array_mut().expect("checked above"));
        let used: Vec<&str> =
            keys.iter().copied().filter(|key| old.iter().chain(patch).any(|item| item.get(key).is_some())).collect();
        *value = match used[..] {
            [_, _, ..] => self.by_keys(old, patch, path, &used)?,
            _ => self.by_key(old, patch, path, keys[0])?,
        };
        Ok(Outcome::Merged)
    }

    /// What the patch names comes first, in its order.
    fn by_key(&self, mut rest: Vec<Value>, patch: &[Value], path: &[&str], key: &str) -> Result<Value, String> {
        let mut merged = Vec::new();
        for patch in patch {
            let twin = rest.iter().position(|item| item.get(key) == patch.get(key));
            let mut item = twin.map_or(Value::Null, |index| rest.remove(index));
            // kustomize keeps an item that it should replace.
            let keeps = !item.is_null() && patch["$patch"] == "replace";
            if keeps || self.merge(&mut item, patch, path)? == Outcome::Merged {
                merged.push(item);
            }
        }
        merged.append(&mut rest);
        Ok(merged.into())
    }

    /// With several keys in use kustomize is peculiar: what is new comes first, the rest stays where it is, and an item
    /// that gives other keys than its twin is dropped.
    fn by_keys(&self, mut old: Vec<Value>, patch: &[Value], path: &[&str], keys: &[&str]) -> Result<Value, String> {
        let same = |left: &Value, right: &Value| keys.iter().all(|key| left.get(key) == right.get(key));
        let full = |item: &Value| keys.iter().all(|key| item.get(key).is_some());
        let nearly =
            |left: &Value, right: &Value| left.get(keys[0]) == right.get(keys[0]) && (!full(left) || !full(right));
        let mut new = Vec::new();
        for patch in patch {
            if let Some(index) = old.iter().position(|item| same(item, patch)) {
                match patch["$patch"].as_str() {
                    Some("delete") if !full(patch) => {}
                    Some("replace") => {}
                    _ => {
                        if self.merge(&mut old[index], patch, path)? == Outcome::Deleted {
                            old.remove(index);
                        }
                    }
                }
                continue;
            }
            let mut item = Value::Null;
            if !old.iter().any(|old| nearly(old, patch)) && self.merge(&mut item, patch, path)? == Outcome::Merged {
                new.push(item);
            }
        }
        new.append(&mut old);
        Ok(new.into())
    }

    /// A list that takes the place of what was there.
    fn fresh(&self, patch: &[Value], path: &[&str]) -> Result<Value, String> {
        let mut fresh = Vec::new();
        for item in patch {
            let only_directive = item.as_object().is_some_and(|item| item.len() == 1) && item.get("$patch").is_some();
            let mut made = Value::Null;
            if !only_directive && self.merge(&mut made, item, path)? == Outcome::Merged {
                fresh.push(made);
            }
        }
        Ok(fresh.into())
    }

    /// What the API's schemas say (`x-kubernetes-patch-strategy`, `x-kubernetes-list-map-keys`,
    /// `x-kubernetes-patch-merge-key`), in Kubernetes 1.21, which is what kustomize knows.
    fn strategy(&self, path: &[&str], items: &[Value]) -> Strategy {
        if !self.built_in {
            return Strategy::Replace;
        }
        let has = |key: &str| items.iter().any(|item| item.get(key).is_some());
        let Some((field, around)) = path.split_last() else { return Strategy::Replace };
        match *field {
            "finalizers" if around == ["metadata"] => Strategy::Values,
            "imagePullSecrets" if around.is_empty() => Strategy::Replace,
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "imagePullSecrets"
            | "webhooks"
            | "secrets"
                if has("name") =>
            {
                Strategy::Keys(&["name"])
            }
            "volumeMounts" => Strategy::Keys(&["mountPath"]),
            "volumeDevices" => Strategy::Keys(&["devicePath"]),
            "hostAliases" => Strategy::Keys(&["ip"]),
            "topologySpreadConstraints" => Strategy::Keys(&["topologyKey", "whenUnsatisfiable"]),
            "ports" if has("containerPort") => Strategy::Keys(&["containerPort", "protocol"]),
            "ports" if has("port") => Strategy::Keys(&["port", "protocol"]),
            "ownerReferences" => Strategy::Keys(&["uid"]),
            "conditions" => Strategy::Keys(&["type"]),
            _ => Strategy::Replace,
        }
    }
}

/// Whether kustomize has the kind's schema; lists of custom resources do not merge.
fn is_built_in(identity: &Identity) -> bool {
    matches!(
        (identity.group(), identity.version()),
        ("", "v1")
            | ("apps", "v1")
            | ("batch", "v1" | "v1beta1")
            | ("policy", "v1" | "v1beta1")
            | ("autoscaling", "v1" | "v2beta1" | "v2beta2")
            | (
                "networking.k8s.io"
                    | "rbac.authorization.k8s.io"
                    | "storage.k8s.io"
                    | "scheduling.k8s.io"
                    | "admissionregistration.k8s.io"
                    | "apiextensions.k8s.io"
                    | "coordination.k8s.io"
                    | "node.k8s.io"
                    | "discovery.k8s.io"
                    | "events.k8s.io",
                "v1" | "v1beta1"
            )
    )
}
