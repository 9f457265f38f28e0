//! What in the cluster carries a service's id: prune and destroy look for the same.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, Client, ResourceExt as _, api::DynamicObject};

use super::{CONCURRENCY, ObjectRef, Served, ownership, request, resources, wire::Place};
use crate::{error::Result, hooks, ui::Step};

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
    pub(crate) fn api(&self, client: &Client) -> Api<DynamicObject> {
        self.served.api(client, self.object.namespace.as_deref())
    }
}

/// Every object with this id that nothing else owns.
///
/// A kind that may not be listed in the whole cluster is listed in `namespaces`; what may not be listed at all is left
/// out, which `--verbose` tells.
///
/// # Errors
/// The API server cannot be reached, or fails.
pub(crate) async fn ours(client: &Client, id: &str, namespaces: &BTreeSet<String>, step: &Step) -> Result<Vec<Found>> {
    let kinds = resources::everything(client).await?;
    let selector = format!("{}={id}", ownership::ID);
    let lists: Vec<Vec<Found>> = stream::iter(kinds)
        .map(|served| {
            let selector = &selector;
            async move { of_kind(client, served, selector, namespaces, step).await }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
}

async fn of_kind(
    client: &Client,
    served: Served,
    selector: &str,
    namespaces: &BTreeSet<String>,
    step: &Step,
) -> Result<Vec<Found>> {
    let doing = || format!("list {}", served.resource.plural);
    let place = Place { client, served: &served, namespace: None };
    let mut items = Vec::new();
    match place.metadata(selector).await {
        Ok(all) => items = all,
        Err(kube::Error::Api(status)) if status.code == 403 && served.namespaced => {
            for namespace in namespaces {
                match (Place { namespace: Some(namespace), ..place }).metadata(selector).await {
                    Ok(more) => items.extend(more),
                    Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => {
                        step.verbose(format!("{} in {namespace} may not be listed", served.resource.plural));
                    }
                    Err(error) => return Err(request::failed(doing(), &error)),
                }
            }
        }
        // A kind that went, or that cannot be listed after all.
        Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => {
            step.verbose(format!("{} may not be listed", served.resource.plural));
        }
        Err(error) => return Err(request::failed(doing(), &error)),
    }
    let found = items.into_iter().filter_map(|item| {
        // Controllers copy labels to what they make; that goes with its owner.
        if item.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true)) {
            return None;
        }
        let object = ObjectRef {
            api_version: served.resource.api_version.clone(),
            kind: served.resource.kind.clone(),
            namespace: item.namespace(),
            name: item.name_any(),
        };
        Some(Found {
            object,
            uid: item.uid()?,
            resource_version: item.resource_version()?,
            is_hook: item.annotations().contains_key(hooks::PHASE),
            served: served.clone(),
        })
    });
    Ok(found.collect())
}
