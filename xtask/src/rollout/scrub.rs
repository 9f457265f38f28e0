//! Which values pods have been given that must not be repeated.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::Value;

use crate::plan::{mask::Known, request};

/// What pods of these specifications know: the Secrets that they refer to, and credentials that are written into them.
pub(crate) async fn given(client: &Client, namespace: &str, specs: &[&Value]) -> Known {
    let mut known = Known::default();
    let mut names = BTreeSet::new();
    for spec in specs {
        known.add(spec);
        referred(spec, &mut names);
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for name in names {
        // One that may not be read cannot be hidden; that is rare, as a deploy writes Secrets.
        let Ok(Some(secret)) = request::retry(|| api.get_opt(name)).await else { continue };
        for value in secret.data.unwrap_or_default().values() {
            known.add_value(&String::from_utf8_lossy(&value.0));
        }
    }
    known
}

/// The names of the Secrets that a pod refers to.
fn referred<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let name = match key.as_str() {
                    "secretKeyRef" | "secretRef" => field["name"].as_str(),
                    "secret" => field["secretName"].as_str().or(field["name"].as_str()),
                    _ => None,
                };
                found.extend(name);
                referred(field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| referred(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_secrets_are_those_that_it_refers_to_or_contains() {
        let spec = json!({"containers": [{"env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}},
                {"name": "DB_PASSWORD", "value": "swordfish"}, {"name": "PORT", "value": "8080"},
                {"name": "DB", "value": "mysql://u:trout@db"}], "envFrom": [{"secretRef": {"name": "two"}}]}],
            "volumes": [{"secret": {"secretName": "three"}}, {"projected": {"sources": [{"secret": {"name": "four"}}]}},
                {"configMap": {"name": "five"}}]});
        let mut names = BTreeSet::new();
        referred(&spec, &mut names);
        assert_eq!(names, BTreeSet::from(["one", "two", "three", "four"]));
        let mut known = Known::default();
        known.add(&spec);
        assert_eq!(known.scrub_values("swordfish trout 8080"), "(hidden) (hidden) 8080");
    }
}
