//! ResourceQuotas: what a namespace may use, checked when something comes and counted when something changes.
//!
//! Usage is counted from the objects themselves, so that it cannot drift from them.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::{Server, request::Call};
use crate::{
    kinds::usage::{self, Usage},
    status::Status,
    store::{Stored, WriteError},
};

const ATTEMPTS: usize = 64;

/// Whether the namespace's quotas leave room for a new object. The guard is held until it is stored.
pub(super) async fn admit<'a>(
    call: &'a Call,
    object: &serde_json::Value,
) -> Result<Option<MutexGuard<'a, ()>>, Status> {
    let Some(namespace) = call.namespace.as_deref() else { return Ok(None) };
    if quotas(&call.server, namespace).is_empty() {
        return Ok(None);
    }
    let guard = call.server.quotas.lock().await;
    let used = used(&call.server, namespace);
    for quota in quotas(&call.server, namespace) {
        if let Some(why) = usage::refusal(&quota.value(), &call.resource, object, &used) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Status::forbidden(&call.resource, name, &why));
        }
    }
    Ok(Some(guard))
}

/// Writes what is used into the namespace's quotas where that has changed.
pub(super) async fn count(server: &Arc<Server>, namespace: Option<&str>) {
    let Some(namespace) = namespace else { return };
    for quota in quotas(server, namespace) {
        for _ in 0..ATTEMPTS {
            let Some(stored) = server.store.get(&quota.key) else { break };
            let mut object = stored.value();
            let status = usage::status(&object, &used(server, namespace));
            if object["status"] == status {
                break;
            }
            object["status"] = status;
            match server.store.update(quota.key.clone(), stored.revision, object).await {
                Err(WriteError::Modified) => {}
                _ => break,
            }
        }
    }
}

fn quotas(server: &Server, namespace: &str) -> Vec<Arc<Stored>> {
    server.store.list("resourcequotas", Some(namespace)).objects
}

fn used(server: &Server, namespace: &str) -> Usage {
    let mut total = Usage::new();
    // Two versions of a kind show the same objects, which count once, under the group they are stored in.
    let resources = server.resources();
    let stored = resources.iter().filter(|one| one.namespaced && one.stored() && one.group_resource() == one.storage);
    let mut seen = std::collections::BTreeSet::new();
    for resource in stored.filter(|one| seen.insert(one.storage.clone())) {
        for object in server.store.list(&resource.storage, Some(namespace)).objects {
            usage::add(&mut total, &usage::of(resource, &object.value()));
        }
    }
    total
}
