//! A pod's claims before it is placed: those that wait for its place are told, others must be bound already.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::controllers::{
    context::{self, Context},
    volumes::{
        claims_of,
        decide::{SELECTED_NODE, waits_for_pod},
    },
};

/// The pod's claims that are bound once it has a place.
///
/// # Errors
/// In the scheduler's words, when a claim is not there or would have to be bound already.
pub(super) fn unbound(context: &Context, pod: &Pod) -> Result<Vec<Arc<PersistentVolumeClaim>>, String> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut waiting = Vec::new();
    for name in claims_of(pod) {
        let claim = context.caches.claims.get(&namespace, name);
        let claim = claim.ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Bound") => continue,
            Some("Lost") => {
                let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
                return Err(format!(
                    "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
                ));
            }
            _ => {}
        }
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
        if !waits_for_pod(context.caches.storage_classes.get("", &class).as_deref()) {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        waiting.push(claim);
    }
    Ok(waiting)
}

/// Tells the claims where their pod is going to be.
pub(super) async fn select(context: &Context, claims: &[Arc<PersistentVolumeClaim>], node: &str) -> kube::Result<()> {
    for claim in claims {
        if claim.annotations().get(SELECTED_NODE).map(String::as_str) == Some(node) {
            continue;
        }
        let patch = json!({"metadata": {"uid": claim.metadata.uid, "annotations": {SELECTED_NODE: node}}});
        let parameters = PatchParams { field_manager: Some(super::MANAGER.into()), ..PatchParams::default() };
        let api = context.api::<PersistentVolumeClaim>(&claim.namespace().unwrap_or_default());
        context::gone_is_fine(api.patch(&claim.name_any(), &parameters, &Patch::Merge(patch)).await)?;
    }
    Ok(())
}
