//! Which kinds the cluster serves, and how they are reached.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};

use super::{CONCURRENCY, ObjectRef, request};
use crate::{
    error::{Error, Result},
    manifests::Object,
};

/// How the objects of a kind are reached.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    /// The cluster does not serve it yet, a CustomResourceDefinition of the set makes it do so.
    pub(crate) planned: bool,
    pub(crate) verbs: Vec<String>,
}

impl Served {
    /// Nothing is known of the cluster that will serve it.
    pub(super) fn unknown(object: &ObjectRef) -> Self {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            plural: String::new(),
        };
        Self { resource, namespaced: object.namespace.is_some(), planned: true, verbs: Vec::new() }
    }

    pub(crate) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if self.namespaced => Api::namespaced_with(client.clone(), namespace, &self.resource),
            _ => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// The kinds by API version and name.
pub(super) struct Kinds(BTreeMap<(String, String), Served>);

impl Kinds {
    /// How to reach an object.
    ///
    /// # Errors
    /// The cluster does not serve its kind.
    pub(super) fn of(&self, object: &Object) -> Result<Served> {
        let key = (object.api_version().to_owned(), object.kind().to_owned());
        self.0.get(&key).cloned().ok_or_else(|| {
            Error::failed(format!(
                "{}: the cluster does not serve {} of {}",
                object.position(),
                object.kind(),
                object.api_version()
            ))
            .hint("correct apiVersion and kind, or install the CustomResourceDefinition: kubectl api-resources")
        })
    }
}

/// Asks the cluster for the kinds of these objects: one request for each API version among them.
pub(super) async fn discover(client: &Client, objects: &[Object]) -> Result<Kinds> {
    let versions: BTreeSet<String> = objects.iter().map(|object| object.api_version().to_owned()).collect();
    let lists: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move { served(client, &version).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut kinds = BTreeMap::new();
    for object in objects.iter().filter(|object| object.kind() == "CustomResourceDefinition") {
        for served in defined(object) {
            kinds.insert((served.resource.api_version.clone(), served.resource.kind.clone()), served);
        }
    }
    // What the cluster says about itself wins.
    for served in lists.into_iter().flatten() {
        kinds.insert((served.resource.api_version.clone(), served.resource.kind.clone()), served);
    }
    Ok(Kinds(kinds))
}

/// The kinds of one API version; none if the cluster does not serve it.
pub(crate) async fn served(client: &Client, api_version: &str) -> Result<Vec<Served>> {
    let answer = request::retry(|| async {
        match api_version.contains('/') {
            true => client.list_api_group_resources(api_version).await,
            false => client.list_core_api_resources(api_version).await,
        }
    });
    let list = request::words(format!("ask the cluster for the kinds of {api_version}"), request::found(answer.await))?;
    Ok(list.map(|list| from_list(api_version, list)).unwrap_or_default())
}

/// Every kind that can be listed and deleted, each in one version.
pub(super) async fn everything(client: &Client) -> Result<Vec<Served>> {
    let groups = request::retry(|| client.list_api_groups()).await;
    let groups = request::words("ask the cluster for its API groups", groups)?;
    let mut versions = vec!["v1".to_owned()];
    versions.extend(groups.groups.into_iter().filter_map(|group| {
        let preferred = group.preferred_version.or_else(|| group.versions.first().cloned())?;
        Some(preferred.group_version)
    }));
    let lists: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move { served(client, &version).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    // Endpoints mirror the labels of their Service without naming it as their owner; events pass by themselves.
    let ours = |served: &Served| {
        !matches!(served.resource.kind.as_str(), "Endpoints" | "Event")
            && ["list", "delete"].iter().all(|verb| served.verbs.iter().any(|found| found == verb))
    };
    Ok(lists.into_iter().flatten().filter(ours).collect())
}

fn from_list(api_version: &str, list: APIResourceList) -> Vec<Served> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    // A name with a slash is a subresource.
    let resources = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
    resources
        .map(|resource| Served {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: resource.kind,
                plural: resource.name,
            },
            namespaced: resource.namespaced,
            planned: false,
            verbs: resource.verbs,
        })
        .collect()
}

/// The kinds that a CustomResourceDefinition will make the cluster serve.
fn defined(object: &Object) -> Vec<Served> {
    let spec = &object.value()["spec"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (group, kind, plural) = (text(&spec["group"]), text(&spec["names"]["kind"]), text(&spec["names"]["plural"]));
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .map(|version| {
            let version = text(&version["name"]);
            Served {
                resource: ApiResource {
                    api_version: format!("{group}/{version}"),
                    group: group.clone(),
                    version,
                    kind: kind.clone(),
                    plural: plural.clone(),
                },
                namespaced: spec["scope"] != "Cluster",
                planned: true,
                verbs: Vec::new(),
            }
        })
        .collect()
}
