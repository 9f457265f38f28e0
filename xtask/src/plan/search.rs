//! What in the cluster carries a service's id: prune and destroy look for the same.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::metadata::PartialObjectMeta,
};

use super::{ObjectRef, Served, ownership, request, resources::Discovery, wire::Place};
use crate::{error::Result, hooks, ui::Step};

/// How many lists are under way at once. Most are empty: what each further connection costs is more than they do.
const AT_ONCE: usize = 8;

/// A live object that carries the id.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) object: ObjectRef,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    /// A Job that a deploy runs by itself and that is in no plan.
    pub(crate) is_hook: bool,
    pub(crate) served: Served,
}

impl Found {
    /// An object with the id, unless a controller owns it: controllers copy labels to what they make, and that goes with
    /// its owner.
    pub(super) fn of(served: &Served, item: &PartialObjectMeta<DynamicObject>) -> Option<Self> {
        if item.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true)) {
            return None;
        }
        let object = ObjectRef {
            api_version: served.resource.api_version.clone(),
            kind: served.resource.kind.clone(),
            namespace: item.namespace(),
            name: item.name_any(),
        };
        Some(Self {
            object,
            uid: item.uid()?,
            resource_version: item.resource_version()?,
            is_hook: item.annotations().contains_key(hooks::PHASE),
            served: served.clone(),
        })
    }

    pub(crate) fn api(&self, client: &Client) -> Api<DynamicObject> {
        self.served.api(client, self.object.namespace.as_deref())
    }
}

/// Where to look for objects of a service.
pub(crate) struct Places {
    /// Where to look for a kind that may not be listed in the whole cluster.
    pub(crate) namespaces: BTreeSet<String>,
    /// The namespaces in which a kind, by its group and name, need not be looked for; `None` is the whole cluster.
    pub(crate) except: BTreeMap<(String, String), BTreeSet<Option<String>>>,
}

/// Every object with this id that nothing else owns.
///
/// What may not be listed at all is left out, which `--verbose` tells.
///
/// # Errors
/// The API server cannot be reached, or fails.
pub(crate) async fn ours(
    client: &Client,
    kinds: &Discovery,
    id: &str,
    places: &Places,
    step: &Step,
) -> Result<Vec<Found>> {
    let lists: Vec<Vec<Found>> = stream::iter(kinds.everything())
        .map(|served| of_kind(client, served, id, places, step))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
}

async fn of_kind(client: &Client, served: &Served, id: &str, places: &Places, step: &Step) -> Result<Vec<Found>> {
    let kind = (served.resource.group.clone(), served.resource.kind.clone());
    let except = places.except.get(&kind);
    let is_left_out = |namespace: Option<&String>| except.is_some_and(|except| except.contains(&namespace.cloned()));
    if is_left_out(None) {
        return Ok(Vec::new());
    }
    let elsewhere: Vec<String> =
        except.into_iter().flatten().flatten().map(|namespace| format!("metadata.namespace!={namespace}")).collect();
    let place = Place { client, served, namespace: None };
    let params = ListParams { field_selector: (!elsewhere.is_empty()).then(|| elsewhere.join(",")), ..labelled(id) };
    match place.metadata(&params).await {
        Err(kube::Error::Api(status)) if status.code == 403 && served.namespaced => {
            let mut found = Vec::new();
            for namespace in places.namespaces.iter().filter(|namespace| !is_left_out(Some(namespace))) {
                found.extend(within(Place { namespace: Some(namespace), ..place }, id, step).await?);
            }
            Ok(found)
        }
        answer => visible(place, answer, step),
    }
}

/// The objects of one kind in one namespace.
pub(super) async fn within(place: Place<'_>, id: &str, step: &Step) -> Result<Vec<Found>> {
    visible(place, place.metadata(&labelled(id)).await, step)
}

/// What is found, as far as it may be looked at: nothing of a kind that went, or that cannot be listed after all.
fn visible(
    place: Place<'_>,
    answer: kube::Result<Vec<PartialObjectMeta<DynamicObject>>>,
    step: &Step,
) -> Result<Vec<Found>> {
    let plural = &place.served.resource.plural;
    match answer {
        Ok(items) => Ok(items.iter().filter_map(|item| Found::of(place.served, item)).collect()),
        Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => {
            let place = place.namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
            step.verbose(format!("{plural}{place} may not be listed"));
            Ok(Vec::new())
        }
        Err(error) => Err(request::failed(format!("list {plural}"), &error)),
    }
}

fn labelled(id: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={id}", ownership::ID))
}
