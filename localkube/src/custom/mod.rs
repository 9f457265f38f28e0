//! Custom resources: what a CustomResourceDefinition says of its objects.
//!
//! A served version of an established definition becomes a [`Resource`] with a [`Custom`]. Its objects go through
//! [`prune`] and [`defaults`] when they are decoded or read, through [`validate`], [`lists`] and [`rules`] when they are
//! written. Definitions themselves are checked in [`definition`] and [`structural`], and told what became of them in
//! [`conditions`].
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

mod columns;
mod conditions;
mod decode;
mod defaults;
mod formats;
mod lists;
mod paths;
mod prune;
mod rules;
mod scale;
pub(crate) mod strategy;
mod structural;
#[cfg(test)]
mod tests;
mod validate;
mod versions;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use columns::Column;
pub(crate) use conditions::{conditions, terminating};
pub(crate) use decode::{decode, unknown};
pub(crate) mod definition;
pub(crate) use scale::{Paths, at, place};

use crate::{
    resource::{Resource, Subresource},
    schema::{self, Schema},
};

/// The finalizer that keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Where definitions are stored.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const CHANGE: &[&str] = &["get", "patch", "update"];

/// One served version of a definition.
#[derive(Debug)]
pub struct Custom {
    /// The definition's name.
    pub(crate) definition: String,
    /// The definition's resourceVersion.
    pub(crate) revision: u64,
    /// A number of the definition's own: another one of the same name and revision has another.
    pub(crate) born: u64,
    pub(crate) list_kind: String,
    /// `openAPIV3Schema`, which says how objects are pruned, completed and validated.
    pub(crate) openapi: Value,
    /// The same as server-side apply sees it.
    pub(crate) fields: Schema,
    pub(crate) columns: Vec<Column>,
    /// Whether the status has a subresource of its own.
    pub(crate) status: bool,
    pub(crate) scale: Option<Paths>,
    /// The definition is being deleted: no more objects are made.
    pub(crate) terminating: bool,
    /// What clients of a deprecated version are told.
    pub(crate) deprecation: Option<String>,
    /// Paths of the fields that lists can be restricted by.
    pub(crate) selectable: Vec<String>,
    patterns: validate::Patterns,
    rules: rules::Rules,
}

/// The resources that a definition makes: none before it is established.
pub(crate) fn resources(definition: &Value, revision: u64) -> Vec<Arc<Resource>> {
    let spec = &definition["spec"];
    if !conditions::holds(definition, "Established") {
        return Vec::new();
    }
    let versions = versions::by_priority(spec);
    versions
        .into_iter()
        .filter(|version| version["served"] == true)
        .map(|version| resource(definition, version, revision))
        .collect()
}

fn resource(definition: &Value, version: &Value, revision: u64) -> Arc<Resource> {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<String>>();
    let (group, kind, plural) = (text(&spec["group"]), text(&names["kind"]), text(&names["plural"]));
    let subresources = &version["subresources"];
    let (status, scale) = (subresources["status"].is_object(), Paths::of(&subresources["scale"]));
    let mut below = Vec::new();
    if status {
        below.push(Subresource { name: "status".into(), kind: kind.clone(), group_version: None, verbs: CHANGE });
    }
    if scale.is_some() {
        let group_version = Some(("autoscaling", "v1"));
        below.push(Subresource { name: "scale".into(), kind: "Scale".into(), group_version, verbs: CHANGE });
    }
    let openapi = version["schema"]["openAPIV3Schema"].clone();
    let api_version = format!("{group}/{}", text(&version["name"]));
    let deprecated = version["deprecated"] == true;
    let warning = version["deprecationWarning"].as_str().map(str::to_owned);
    let custom = Custom {
        revision,
        born: born(definition),
        definition: text(&definition["metadata"]["name"]),
        list_kind: text(&names["listKind"]),
        fields: schema::of_definition(&openapi, status),
        columns: columns::of(version),
        status,
        scale,
        terminating: !definition["metadata"]["deletionTimestamp"].is_null(),
        deprecation: deprecated.then(|| warning.unwrap_or_else(|| format!("{api_version} {kind} is deprecated"))),
        selectable: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|field| text(&field["jsonPath"]))
            .collect(),
        patterns: validate::Patterns::of(&openapi),
        rules: rules::Rules::of(&openapi),
        openapi,
    };
    let stored = versions::stored(spec);
    Arc::new(Resource {
        storage: format!("{plural}.{group}"),
        storage_version: format!("{group}/{stored}/{kind}"),
        version: text(&version["name"]),
        singular: text(&names["singular"]),
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        verbs: VERBS,
        subresources: below,
        custom: Some(Arc::new(custom)),
        group,
        kind,
        plural,
    })
}

/// Revisions begin anew with every cluster; what clients keep by them must not be another cluster's.
fn born(definition: &Value) -> u64 {
    let uid = definition["metadata"]["uid"].as_str().unwrap_or_default();
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

impl Custom {
    /// Fills in what an object leaves out. One that says it is of another kind is refused later, for what it is.
    pub(crate) fn fill(&self, resource: &Resource, object: &mut Value) {
        if object["kind"] == resource.kind.as_str() {
            defaults::complete(&self.openapi, object);
        }
    }

    /// Brings a stored object into the form that this version's schema gives it.
    pub(crate) fn complete(&self, object: &mut Value) {
        prune::prune(&self.openapi, object);
        defaults::complete(&self.openapi, object);
    }
}
