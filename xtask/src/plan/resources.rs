//! Which kinds the cluster serves, and how they are reached.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::discovery::v2::APIResourceDiscovery,
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

    /// As the cluster sums it up.
    fn summed_up(group: &str, version: &str, kind: APIResourceDiscovery) -> Option<Self> {
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.response_kind?.kind?,
            plural: kind.resource?,
        };
        let namespaced = kind.scope.as_deref() == Some("Namespaced");
        Some(Self { resource, namespaced, planned: false, verbs: kind.verbs })
    }

    pub(crate) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if self.namespaced => Api::namespaced_with(client.clone(), namespace, &self.resource),
            _ => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// What the cluster serves.
pub(crate) struct Discovery(Vec<Known>);

struct Known {
    served: Served,
    /// Whether it is of the version of its group that the cluster prefers.
    preferred: bool,
}

/// Asks the cluster for all kinds at once (KEP-3352), or group by group where it is too old to know how to say them so.
///
/// # Errors
/// It cannot be reached, or fails.
pub(crate) async fn discover(client: &Client) -> Result<Discovery> {
    let (core, groups) = tokio::join!(
        request::retry(|| client.list_core_api_versions_aggregated()),
        request::retry(|| client.list_api_groups_aggregated()),
    );
    let lists = match (core, groups) {
        (Ok(core), Ok(groups)) => [core, groups],
        (Err(error), _) | (_, Err(error)) if is_unknown(&error) => return group_by_group(client).await,
        (core, groups) => {
            let doing = "ask the cluster for its kinds";
            [request::words(doing, core)?, request::words(doing, groups)?]
        }
    };
    let mut known = Vec::new();
    for group in lists.into_iter().flat_map(|list| list.items) {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for (index, version) in group.versions.into_iter().enumerate() {
            let number = version.version.unwrap_or_default();
            let kinds = version.resources.into_iter().filter_map(|kind| Served::summed_up(&name, &number, kind));
            known.extend(kinds.map(|served| Known { served, preferred: index == 0 }));
        }
    }
    Ok(Discovery(known))
}

/// Whether the server does not know the form that was asked for.
fn is_unknown(error: &kube::Error) -> bool {
    matches!(error, kube::Error::SerdeError(_))
        || matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 406))
}

async fn group_by_group(client: &Client) -> Result<Discovery> {
    let groups = request::retry(|| client.list_api_groups()).await;
    let groups = request::words("ask the cluster for its API groups", groups)?;
    let mut versions = vec!["v1".to_owned()];
    versions.extend(groups.groups.into_iter().filter_map(|group| {
        let preferred = group.preferred_version.or_else(|| group.versions.first().cloned())?;
        Some(preferred.group_version)
    }));
    let kinds = of_versions(client, versions).await?;
    Ok(Discovery(kinds.into_iter().map(|served| Known { served, preferred: true }).collect()))
}

impl Discovery {
    /// Every kind that can be listed and deleted, each in one version.
    pub(super) fn everything(&self) -> impl Iterator<Item = &Served> {
        // Endpoints mirror the labels of their Service without naming it as their owner; events pass by themselves.
        let ours = |served: &&Served| {
            !matches!(served.resource.kind.as_str(), "Endpoints" | "Event")
                && ["list", "delete"].iter().all(|verb| served.verbs.iter().any(|found| found == verb))
        };
        self.0.iter().filter(|known| known.preferred).map(|known| &known.served).filter(ours)
    }

    /// The kinds of these objects.
    pub(super) async fn of(&self, client: &Client, objects: &[Object]) -> Result<Kinds> {
        let mut kinds = Kinds(BTreeMap::new());
        for object in objects.iter().filter(|object| object.kind() == "CustomResourceDefinition") {
            kinds.extend(defined(object));
        }
        // What the cluster says about itself wins.
        kinds.extend(self.0.iter().map(|known| known.served.clone()));
        // What it says of all kinds may lag behind, or hold one version of a group only.
        let missing = objects.iter().filter(|object| !kinds.0.contains_key(&Kinds::key(object)));
        let versions: BTreeSet<String> = missing.map(|object| object.api_version().to_owned()).collect();
        kinds.extend(of_versions(client, versions).await?);
        Ok(kinds)
    }
}

/// The kinds by API version and name.
pub(super) struct Kinds(BTreeMap<(String, String), Served>);

impl Kinds {
    fn key(object: &Object) -> (String, String) {
        (object.api_version().to_owned(), object.kind().to_owned())
    }

    fn extend(&mut self, more: impl IntoIterator<Item = Served>) {
        let more = more.into_iter();
        self.0.extend(more.map(|one| ((one.resource.api_version.clone(), one.resource.kind.clone()), one)));
    }

    /// How to reach an object.
    ///
    /// # Errors
    /// The cluster does not serve its kind.
    pub(super) fn of(&self, object: &Object) -> Result<Served> {
        self.0.get(&Self::key(object)).cloned().ok_or_else(|| {
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

async fn of_versions(client: &Client, versions: impl IntoIterator<Item = String>) -> Result<Vec<Served>> {
    let lists: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move { served(client, &version).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
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
