//! Binds claims to volumes, says what claims wait for, and lets both go only when nothing uses them.
//!
//! Volumes are made by provisioners (this node's is `kubelet/provision.rs`), which the annotation
//! `volume.kubernetes.io/storage-provisioner` on a claim calls.

pub(super) mod decide;
#[cfg(test)]
mod tests;

use k8s_openapi::api::{
    core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, Resource},
};
use serde_json::json;

use self::decide::Next;
use super::{
    cache::Handler,
    context::{self, Context},
    events::{Recorder, Severity},
    frame, pods,
    queue::{Key, Queue},
};

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

/// The controller's work and what it waits for. Keys without a namespace are volumes.
#[derive(Clone)]
pub(super) struct Controller {
    context: Context,
    recorder: Recorder,
    queue: Queue<Key>,
}

impl Controller {
    pub(super) fn new(context: &Context) -> Self {
        let recorder = context.recorder.named("persistentvolume-controller");
        Self { context: context.clone(), recorder, queue: Queue::new() }
    }

    pub(super) fn on_claim(&self) -> Handler<PersistentVolumeClaim> {
        let queue = self.queue.clone();
        frame::dependents(move |claim: &PersistentVolumeClaim| {
            queue.add(frame::key(claim));
            let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
            volume.into_iter().for_each(|volume| queue.add((String::new(), volume)));
        })
    }

    pub(super) fn on_volume(&self) -> Handler<PersistentVolume> {
        let this = self.clone();
        frame::dependents(move |volume: &PersistentVolume| {
            this.queue.add(frame::key(volume));
            match volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()) {
                Some(of) => this.queue.add((of.namespace.unwrap_or_default(), of.name.unwrap_or_default())),
                // Whoever waits for one may have it.
                None => this.queue_waiting(),
            }
        })
    }

    pub(super) fn on_class(&self) -> Handler<StorageClass> {
        let this = self.clone();
        frame::dependents(move |_| this.queue_waiting())
    }

    /// A claim is kept until the last pod that uses it has ended.
    pub(super) fn on_pod(&self) -> Handler<Pod> {
        let queue = self.queue.clone();
        frame::dependents(move |pod: &Pod| {
            let namespace = pod.namespace().unwrap_or_default();
            claims_of(pod).for_each(|claim| queue.add((namespace.clone(), claim.to_owned())));
        })
    }

    fn queue_waiting(&self) {
        let unbound = |claim: &PersistentVolumeClaim| !claim.annotations().contains_key(BIND_COMPLETED);
        let claims = self.context.caches.claims.all();
        claims.iter().filter(|claim| unbound(claim)).for_each(|claim| self.queue.add(frame::key(&**claim)));
    }

    pub(super) async fn run(self) {
        let caches = self.context.caches.clone();
        caches.claims.ready().await;
        caches.volumes.ready().await;
        caches.storage_classes.ready().await;
        caches.pods.ready().await;
        let queue = self.queue.clone();
        let sync = |this: Self, key: Key| async move {
            if key.0.is_empty() { this.sync_volume(&key.1).await } else { this.sync_claim(&key).await }
        };
        frame::work("volumes", queue, self, sync).await;
    }

    async fn sync_claim(&self, key: &Key) -> kube::Result<()> {
        let caches = &self.context.caches;
        let Some(claim) = caches.claims.get(&key.0, &key.1) else { return Ok(()) };
        let api = self.context.api::<PersistentVolumeClaim>(&key.0);
        if claim.metadata.deletion_timestamp.is_some() {
            return if self.is_used(key) { Ok(()) } else { release(&api, &*claim, CLAIM_PROTECTION).await };
        }
        if claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_none() && spec.volume_name.is_none())
            && let Some(class) = decide::default_class(&caches.storage_classes.all())
        {
            let patch =
                json!({"metadata": {"uid": claim.metadata.uid}, "spec": {"storageClassName": class.name_any()}});
            return context::gone_is_fine(api.patch(&key.1, &context::patch(), &Patch::Merge(patch)).await);
        }
        let class = decide::class_name(&claim).and_then(|name| caches.storage_classes.get("", name));
        match decide::next(&claim, &caches.volumes.all(), class.as_deref()) {
            Next::Bind(volume) => self.bind(&claim, &volume).await,
            Next::Lost => {
                if claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Lost") {
                    let message = "Bound claim has lost its PersistentVolume. Any data on the volume is lost!";
                    self.recorder.record(&*claim, Severity::Warning, "ClaimLost", message);
                    let patch = json!({"metadata": {"uid": claim.metadata.uid}, "status": {"phase": "Lost"}});
                    let patched = api.patch_status(&key.1, &context::patch(), &Patch::Merge(patch)).await;
                    context::gone_is_fine(patched)?;
                }
                Ok(())
            }
            Next::Wait { severity, reason, message, provisioner } => {
                self.recorder.record(&*claim, severity, reason, message);
                match provisioner {
                    Some(name) if claim.annotations().get(PROVISIONER) != Some(&name) => {
                        let annotations =
                            json!({PROVISIONER: name, "volume.beta.kubernetes.io/storage-provisioner": name});
                        let patch = json!({"metadata": {"uid": claim.metadata.uid, "annotations": annotations}});
                        context::gone_is_fine(api.patch(&key.1, &context::patch(), &Patch::Merge(patch)).await)
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether a pod that has been placed and has not ended mounts the claim.
    fn is_used(&self, key: &Key) -> bool {
        self.context.caches.pods.list(&key.0).iter().any(|pod| {
            let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
            placed && !pods::is_terminal(pod) && claims_of(pod).any(|claim| claim == key.1)
        })
    }

    /// First the volume, then the claim: of two claims at once the volume's version lets one through, and killed in
    /// between, the volume says whose it is.
    async fn bind(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> kube::Result<()> {
        let (namespace, name) = frame::key(claim);
        let api = self.context.api::<PersistentVolumeClaim>(&namespace);
        let mut volume = volume.clone();
        let spec = volume.spec.get_or_insert_default();
        if spec.claim_ref.as_ref().is_none_or(|of| of.uid.is_none()) {
            if spec.claim_ref.is_none() {
                volume.metadata.annotations.get_or_insert_default().insert(BOUND_BY_CONTROLLER.into(), "yes".into());
            }
            spec.claim_ref = Some(ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("PersistentVolumeClaim".into()),
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                uid: claim.uid(),
                resource_version: claim.resource_version(),
                field_path: None,
            });
            volume = self.volumes().replace(&volume.name_any(), &context::write(), &volume).await?;
        }
        self.set_phase(&volume, "Bound").await?;
        let mut claim = claim.clone();
        let volume_name = volume.name_any();
        let spec = claim.spec.get_or_insert_default();
        let chosen = spec.volume_name.is_none();
        spec.volume_name = Some(volume_name);
        let annotations = claim.metadata.annotations.get_or_insert_default();
        let complete = annotations.insert(BIND_COMPLETED.into(), "yes".into()).is_some();
        if chosen {
            annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        if chosen || !complete {
            claim = api.replace(&name, &context::write(), &claim).await?;
        }
        let mut status = claim.status.clone().unwrap_or_default();
        let has = volume.spec.unwrap_or_default();
        status.phase = Some("Bound".into());
        status.access_modes = has.access_modes;
        status.capacity = has.capacity;
        if claim.status.as_ref() != Some(&status) {
            claim.status = Some(status);
            context::gone_is_fine(api.replace_status(&name, &context::write(), &claim).await)?;
        }
        Ok(())
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.context.client.clone())
    }

    async fn set_phase(&self, volume: &PersistentVolume, phase: &str) -> kube::Result<()> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let status = json!({"phase": phase, "lastPhaseTransitionTime": pods::now()});
        let patch = json!({"metadata": {"uid": volume.metadata.uid}, "status": status});
        let patched = self.volumes().patch_status(&volume.name_any(), &context::patch(), &Patch::Merge(patch)).await;
        context::gone_is_fine(patched)
    }

    async fn sync_volume(&self, name: &str) -> kube::Result<()> {
        let Some(volume) = self.context.caches.volumes.get("", name) else { return Ok(()) };
        let of = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let bound = match of.filter(|of| of.uid.is_some()) {
            None => false,
            Some(of) => {
                // Asked of the server: the copy of the claims may be older than that of the volumes.
                let api = self.context.api::<PersistentVolumeClaim>(of.namespace.as_deref().unwrap_or_default());
                let claim = api.get_opt(of.name.as_deref().unwrap_or_default()).await?;
                claim.is_some_and(|claim| claim.metadata.uid == of.uid)
            }
        };
        if volume.metadata.deletion_timestamp.is_some() && !bound {
            return release(&self.volumes(), &*volume, VOLUME_PROTECTION).await;
        }
        match of {
            Some(of) if of.uid.is_some() && !bound => self.set_phase(&volume, "Released").await,
            // The claim's own turn makes it Bound.
            Some(of) if of.uid.is_some() => Ok(()),
            _ => self.set_phase(&volume, "Available").await,
        }
    }
}

/// Takes a finalizer off.
async fn release<K>(api: &Api<K>, object: &K, finalizer: &str) -> kube::Result<()>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if !object.finalizers().iter().any(|one| one == finalizer) {
        return Ok(());
    }
    let patch = json!({"metadata": {"uid": object.meta().uid, "$deleteFromPrimitiveList/finalizers": [finalizer]}});
    let patched = api.patch(&object.name_any(), &context::patch(), &Patch::Strategic(patch)).await;
    context::gone_is_fine(patched)
}

/// The claims that a pod mounts.
pub(super) fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}
