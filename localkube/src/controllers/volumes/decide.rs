//! Which volume a claim gets, and what it waits for otherwise (`pv_controller.go` of kube-controller-manager).

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::ResourceExt;

use crate::controllers::{events::Severity, owners, quantity::thousandths};

/// On a claim: the node that its first pod was placed on.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a class: whether claims that name none get it.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// What is next for a claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Bind it to this volume, or complete what a killed process began.
    Bind(Arc<PersistentVolume>),
    /// The volume that it had is gone.
    Lost,
    /// It waits, and this is said about it.
    Wait { severity: Severity, reason: &'static str, message: String, provisioner: Option<String> },
}

/// The class that a claim asks for; nothing if it wants none.
pub(super) fn class_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref().filter(|name| !name.is_empty())
}

/// The class of claims that name none: of several the youngest.
pub(super) fn default_class(classes: &[Arc<StorageClass>]) -> Option<Arc<StorageClass>> {
    let marked =
        |class: &&Arc<StorageClass>| class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true");
    classes.iter().filter(marked).max_by_key(|class| class.metadata.creation_timestamp.clone()).cloned()
}

/// Whether claims of the class are bound when a pod that uses them is placed, and not before. A class that is not
/// there delays nothing.
pub(crate) fn waits_for_pod(class: Option<&StorageClass>) -> bool {
    class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}

/// Whether the reference is to this very claim; one without a UID is a reservation by name.
pub(super) fn refers(reference: &ObjectReference, claim: &PersistentVolumeClaim) -> bool {
    reference.namespace == claim.metadata.namespace
        && reference.name == claim.metadata.name
        && reference.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref())
}

fn reference(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// Whether a volume that nobody has is what the claim asks for.
fn satisfies(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(has), Some(wants)) = (&volume.spec, &claim.spec) else { return false };
    let modes = wants.access_modes.iter().flatten();
    let block = |mode: &Option<String>| mode.as_deref() == Some("Block");
    volume.metadata.deletion_timestamp.is_none()
        && has.storage_class_name.as_deref().unwrap_or_default() == class_name(claim).unwrap_or_default()
        && block(&has.volume_mode) == block(&wants.volume_mode)
        && modes.into_iter().all(|mode| has.access_modes.iter().flatten().any(|one| one == mode))
        && wants.selector.as_ref().is_none_or(|selector| owners::selects(selector, volume.labels()))
        && size(volume) >= request(claim)
}

fn size(volume: &PersistentVolume) -> i128 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    capacity.and_then(|quantity| thousandths(&quantity.0)).unwrap_or(0)
}

fn request(claim: &PersistentVolumeClaim) -> i128 {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|requests| thousandths(&requests.get("storage")?.0)).unwrap_or(0)
}

/// Decides about a claim that is not being deleted.
pub(super) fn next(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    class: Option<&StorageClass>,
) -> Next {
    let wait = |severity, reason, message: String| Next::Wait { severity, reason, message, provisioner: None };
    let asked = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    if let Some(name) = asked {
        let bound = claim.annotations().contains_key(super::BIND_COMPLETED);
        return match volumes.iter().find(|volume| volume.name_any() == name) {
            None if bound => Next::Lost,
            None => wait(Severity::Warning, "FailedBinding", format!("volume \"{name}\" not found.")),
            Some(volume) if reference(volume).is_none_or(|of| refers(of, claim)) => Next::Bind(volume.clone()),
            Some(_) if bound => Next::Lost,
            Some(_) => {
                let message = format!("volume \"{name}\" already bound to a different claim.");
                wait(Severity::Warning, "FailedBinding", message)
            }
        };
    }
    // Reserved for it, or made for it.
    if let Some(volume) = volumes.iter().find(|volume| reference(volume).is_some_and(|of| refers(of, claim))) {
        return Next::Bind(volume.clone());
    }
    if waits_for_pod(class) && !claim.annotations().contains_key(SELECTED_NODE) {
        let message = "waiting for first consumer to be created before binding";
        return wait(Severity::Normal, "WaitForFirstConsumer", message.into());
    }
    let free = volumes.iter().filter(|volume| reference(volume).is_none() && satisfies(volume, claim));
    if let Some(volume) = free.min_by_key(|volume| (size(volume), volume.name_any())) {
        return Next::Bind(volume.clone());
    }
    match (class_name(claim), class) {
        (None, _) => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            wait(Severity::Normal, "FailedBinding", message.into())
        }
        (Some(name), None) => {
            let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
            wait(Severity::Warning, "ProvisioningFailed", message)
        }
        (Some(_), Some(class)) if class.provisioner == "kubernetes.io/no-provisioner" => {
            let message = "no volume plugin matched name: kubernetes.io/no-provisioner";
            wait(Severity::Warning, "ProvisioningFailed", message.into())
        }
        (Some(_), Some(class)) => {
            let provisioner = class.provisioner.clone();
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by \
                 the system administrator. If volume creation is delayed, please verify that the provisioner is \
                 running and correctly registered."
            );
            let (severity, reason) = (Severity::Normal, "ExternalProvisioning");
            Next::Wait { severity, reason, message, provisioner: Some(provisioner) }
        }
    }
}
