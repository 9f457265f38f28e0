//! What a pod's PersistentVolumeClaims lead to: directories of the host.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Component, Path, PathBuf},
};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod};
use kube::Api;

use super::{
    Kubelet, names,
    volumes::{self, Place},
};

/// The directory behind a claim, with the subdirectories that containers ask for.
///
/// # Errors
/// When the claim is not bound, or its volume is not a directory of the host.
pub(super) async fn place(
    kubelet: &Kubelet,
    pod: &Pod,
    volume_name: &str,
    source: &PersistentVolumeClaimVolumeSource,
) -> Result<Place, String> {
    let (namespace, name) = (names::namespace(pod), &source.claim_name);
    let failed = |why: String| format!("error processing PVC {namespace}/{name}: {why}");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(kubelet.client.clone(), namespace);
    let claim =
        claims.get(name).await.map_err(|error| failed(format!("failed to fetch PVC from API server: {error}")))?;
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|_| bound);
    let volume = volume.ok_or_else(|| failed("PVC is not bound".to_owned()))?;
    let volumes: Api<PersistentVolume> = Api::all(kubelet.client.clone());
    let volume = volumes.get(volume).await.map_err(|error| failed(format!("failed to fetch PV {volume}: {error}")))?;
    let spec = volume.spec.unwrap_or_default();
    let path = match (&spec.host_path, &spec.local) {
        (Some(host), _) => {
            if host.type_.as_deref() == Some("DirectoryOrCreate") {
                make(Path::new(&host.path)).map_err(|error| failed(format!("{}: {error}", host.path)))?;
            }
            &host.path
        }
        (None, Some(local)) => &local.path,
        (None, None) => return Err(failed("this kind of volume is not supported on this node".to_owned())),
    };
    let path = PathBuf::from(path);
    if !path.is_dir() {
        return Err(failed(format!("hostPath type check failed: {} is not a directory", path.display())));
    }
    for below in volumes::sub_paths(pod, volume_name) {
        // What is not there is made here; in a directory that belongs to a container's user, that fails.
        let below = Path::new(below);
        if below.components().all(|part| matches!(part, Component::Normal(_))) && !path.join(below).exists() {
            make(&path.join(below)).map_err(|error| failed(format!("{}: {error}", path.join(below).display())))?;
        }
    }
    Ok(Place::Kept(path, source.read_only == Some(true)))
}

/// Makes a directory that containers of every user may write to.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

/// Whether new files in the directory belong to the group, which may write there; makes it so where this process may.
pub(super) fn is_group_s(path: &Path, group: i64) -> bool {
    let Ok(group) = u32::try_from(group) else { return true };
    let holds = |found: &fs::Metadata| found.gid() == group && found.mode() & 0o2070 == 0o2070;
    let Ok(found) = fs::metadata(path) else { return false };
    holds(&found)
        || (chown(path, None, Some(group)).is_ok()
            && fs::set_permissions(path, fs::Permissions::from_mode(found.mode() & 0o777 | 0o2070)).is_ok())
}
