//! Volumes for claims of the class `local`: a directory each, in `volumes/` of the state directory, removed with its
//! claim. Containers write there as users that this process is not, so that a container empties them.

use std::{fs, io, path::Path, time::Duration};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{CreateContainerOptions, StartContainerOptions, WaitContainerOptions},
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::time::sleep;

use super::{Kubelet, claims, cleanup, events::Severity, names, sandbox};

/// How claims call this provisioner.
const NAME: &str = "slipway.dev/local";
/// The class that claims get which name none.
const CLASS: &str = "local";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The state directory's part for volumes, and where the container that empties it sees it.
const FOLDER: &str = "volumes";
const MOUNT: &str = "/volumes";
const RETRY: Duration = Duration::from_secs(1);

/// Makes and removes volumes until dropped.
pub(super) async fn run(kubelet: &Kubelet) {
    while let Err(error) = publish_class(kubelet).await {
        tracing::debug!(%error, "the storage class was not written");
        sleep(RETRY).await;
    }
    let config = watcher::Config::default;
    let claims = watcher(Api::<PersistentVolumeClaim>::all(kubelet.client.clone()), config());
    let volumes = watcher(Api::<PersistentVolume>::all(kubelet.client.clone()), config());
    let claims = claims.default_backoff().touched_objects().filter_map(async |claim| claim.ok());
    let volumes = volumes.default_backoff().touched_objects().filter_map(async |volume| volume.ok());
    let (mut claims, mut volumes) = (std::pin::pin!(claims), std::pin::pin!(volumes));
    loop {
        let work = tokio::select! {
            Some(claim) = claims.next() => Work::Make(Box::new(claim)),
            Some(volume) = volumes.next() => Work::Remove(Box::new(volume)),
            else => return,
        };
        persist(kubelet, work).await;
    }
}

/// What was seen, and may have to be done.
enum Work {
    Make(Box<PersistentVolumeClaim>),
    Remove(Box<PersistentVolume>),
}

/// Tries a few times; the next start tries again, as the watches begin with all there is.
async fn persist(kubelet: &Kubelet, work: Work) {
    for _ in 0..5 {
        let result = match &work {
            Work::Make(claim) if is_waiting(claim) => provision(kubelet, claim).await,
            Work::Remove(volume) if is_over(volume) => remove(kubelet, volume).await,
            _ => return,
        };
        match result {
            Ok(()) => return,
            Err(error) => tracing::warn!(error, "a volume is not as it should be"),
        }
        sleep(RETRY).await;
    }
}

async fn publish_class(kubelet: &Kubelet) -> Result<(), kube::Error> {
    let class: StorageClass = serde_json::from_value(json!({
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": NAME,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }))
    .expect("written as a StorageClass is");
    match Api::<StorageClass>::all(kubelet.client.clone()).create(&PostParams::default(), &class).await {
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(()),
        result => result.map(drop),
    }
}

fn is_waiting(claim: &PersistentVolumeClaim) -> bool {
    let bound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some());
    !bound
        && claim.metadata.deletion_timestamp.is_none()
        && claim.annotations().get(PROVISIONER).is_some_and(|name| name == NAME)
}

fn is_over(volume: &PersistentVolume) -> bool {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    volume.annotations().get(PROVISIONED_BY).is_some_and(|name| name == NAME)
        && volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released")
        && policy == Some("Delete")
        && volume.metadata.deletion_timestamp.is_none()
}

async fn provision(kubelet: &Kubelet, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let words = |error: kube::Error| error.to_string();
    let spec = claim.spec.clone().unwrap_or_default();
    let reference = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: claim.namespace(),
        name: claim.metadata.name.clone(),
        uid: claim.uid(),
        resource_version: claim.resource_version(),
        field_path: None,
    };
    let class_name = spec.storage_class_name.clone().unwrap_or_default();
    let told =
        |severity, reason, message: String| kubelet.recorder.record(reference.clone(), severity, reason, message);
    if spec.selector.is_some() || spec.volume_mode.as_deref() == Some("Block") {
        let why = if spec.selector.is_some() {
            "claim.Spec.Selector is not supported"
        } else {
            "block volumes are not supported"
        };
        let message = format!("failed to provision volume with StorageClass \"{class_name}\": {why}");
        told(Severity::Warning, "ProvisioningFailed", message);
        return Ok(());
    }
    let class = Api::<StorageClass>::all(kubelet.client.clone()).get_opt(&class_name).await.map_err(words)?;
    let name = format!("pvc-{}", claim.uid().unwrap_or_default());
    let directory = kubelet.options.directory.join(FOLDER).join(&name);
    claims::make(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let node = &kubelet.options.node_name;
    let here = json!([{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]);
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "annotations": {PROVISIONED_BY: NAME},
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
            "claimRef": reference,
            "hostPath": {"path": directory, "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
            "persistentVolumeReclaimPolicy": class.and_then(|class| class.reclaim_policy).unwrap_or("Delete".into()),
            "storageClassName": class_name,
            "volumeMode": "Filesystem",
        },
    }))
    .expect("written as a PersistentVolume is");
    match Api::<PersistentVolume>::all(kubelet.client.clone()).create(&PostParams::default(), &volume).await {
        Ok(_) => told(Severity::Normal, "ProvisioningSucceeded", format!("Successfully provisioned volume {name}")),
        // Made before this process was killed, or before the claim showed it.
        Err(kube::Error::Api(answer)) if answer.code == 409 => {}
        Err(error) => return Err(words(error)),
    }
    Ok(())
}

async fn remove(kubelet: &Kubelet, volume: &PersistentVolume) -> Result<(), String> {
    let options = &kubelet.options;
    let name = volume.name_any();
    kubelet.prepared().await;
    // By the name and not by the path that stands in the object: nothing else is ever removed.
    clear(&kubelet.docker, &options.cluster_id, &options.directory, &name).await?;
    let preconditions = Preconditions { uid: volume.meta().uid.clone(), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..Default::default() };
    match Api::<PersistentVolume>::all(kubelet.client.clone()).delete(&name, &parameters).await {
        Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(()),
        result => result.map(drop).map_err(|error| error.to_string()),
    }
}

/// Removes the directories of all volumes of a cluster.
pub(super) async fn remove_all(docker: &Docker, cluster_id: &str, directory: &Path) {
    let volumes = fs::read_dir(directory.join(FOLDER)).into_iter().flatten().flatten();
    for volume in volumes {
        let name = volume.file_name().to_string_lossy().into_owned();
        if let Err(error) = clear(docker, cluster_id, directory, &name).await {
            tracing::warn!(error, volume = name, "a volume's directory is left behind");
        }
    }
    let _ = fs::remove_dir(directory.join(FOLDER));
}

/// Removes one directory of `volumes/` with all that is in it.
async fn clear(docker: &Docker, cluster_id: &str, directory: &Path, name: &str) -> Result<(), String> {
    let folder = directory.join(FOLDER);
    let path = folder.join(name);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => return result.map_err(|error| format!("{}: {error}", path.display())),
    }
    sandbox::ensure_image(docker, cluster_id, directory).await?;
    let body = ContainerCreateBody {
        image: Some(sandbox::image(cluster_id)),
        cmd: Some(vec!["clear".to_owned(), format!("{MOUNT}/{name}")]),
        labels: Some(names::labels(cluster_id, directory, names::ROLE_VOLUME)),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![Mount {
                typ: Some(MountType::BIND),
                source: Some(folder.display().to_string()),
                target: Some(MOUNT.to_owned()),
                ..Default::default()
            }]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let said = |error: bollard::errors::Error| error.to_string();
    let made = docker.create_container(None::<CreateContainerOptions>, body).await.map_err(said)?;
    let ran = async {
        docker.start_container(&made.id, None::<StartContainerOptions>).await?;
        docker.wait_container(&made.id, None::<WaitContainerOptions>).try_collect::<Vec<_>>().await
    };
    let ran = ran.await;
    cleanup::remove(docker, &made.id).await;
    ran.map(drop).map_err(said)
}
