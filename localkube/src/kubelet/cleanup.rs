//! Removing what the engine has of pods that are gone, or of the whole cluster, and nothing else.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use bollard::{
    Docker,
    errors::Error,
    models::ContainerInspectResponse,
    query_parameters::{
        InspectContainerOptions, KillContainerOptions, ListContainersOptions, ListImagesOptions, ListNetworksOptions,
        ListVolumesOptions, RemoveContainerOptions, RemoveImageOptions, RemoveVolumeOptions,
    },
};
use futures::future::join_all;

use super::{Kubelet, names, provision};

type Filters = HashMap<String, Vec<String>>;

/// What [`remove_all`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Containers: of pods, their sandboxes, and in front of services.
    pub containers: usize,
    /// Volumes: scratch space of pods.
    pub volumes: usize,
    /// Networks.
    pub networks: usize,
    /// Names of images: the node image, and what was pushed to or pulled from the cluster's registry.
    pub images: usize,
}

/// The engine's view of a container, or nothing when it has none or doesn't answer.
pub(super) async fn inspect(docker: &Docker, container: &str) -> Option<ContainerInspectResponse> {
    docker.inspect_container(container, None::<InspectContainerOptions>).await.ok()
}

/// Ends a container at once.
pub(super) async fn kill(docker: &Docker, container: &str) {
    let options = KillContainerOptions { signal: "SIGKILL".to_owned() };
    // An error means that it has ended already.
    let _ = docker.kill_container(container, Some(options)).await;
}

/// Removes a container and its anonymous volumes, running or not, there or not.
pub(super) async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    let _ = docker.remove_container(container, Some(options)).await;
}

/// Removes every container that the filters find; sandboxes last, as the others are in their network.
///
/// # Errors
/// When the engine doesn't answer.
pub(super) async fn containers(docker: &Docker, filters: Filters) -> Result<usize, Error> {
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let list = docker.list_containers(Some(options)).await?;
    let (sandboxes, rest): (Vec<_>, Vec<_>) = list.iter().partition(|summary| {
        summary
            .labels
            .as_ref()
            .and_then(|labels| labels.get(names::ROLE))
            .is_some_and(|role| role == names::ROLE_SANDBOX)
    });
    for group in [rest, sandboxes] {
        join_all(group.iter().filter_map(|summary| summary.id.as_deref()).map(|id| remove(docker, id))).await;
    }
    Ok(list.len())
}

/// Removes every volume that the filters find.
pub(super) async fn volumes(docker: &Docker, filters: Filters) -> usize {
    let Ok(found) = docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await else { return 0 };
    let found = found.volumes.unwrap_or_default();
    for volume in &found {
        if let Err(error) = docker.remove_volume(&volume.name, Some(RemoveVolumeOptions { force: true })).await {
            tracing::warn!(%error, volume = volume.name, "a volume is left behind");
        }
    }
    found.len()
}

/// Removes what is left of pods that were deleted while this process wasn't there.
pub(super) async fn orphans(kubelet: &Kubelet, alive: &HashSet<String>) {
    let filters = names::filter(&[(names::CLUSTER, &kubelet.options.cluster_id)]);
    let options = ListContainersOptions { all: true, filters: Some(filters.clone()), ..Default::default() };
    let mut dead = HashSet::new();
    for summary in kubelet.docker.list_containers(Some(options)).await.unwrap_or_default() {
        dead.extend(summary.labels.unwrap_or_default().remove(names::POD_UID));
    }
    let volumes = kubelet.docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await;
    for volume in volumes.ok().and_then(|found| found.volumes).unwrap_or_default() {
        dead.extend(volume.labels.get(names::POD_UID).cloned());
    }
    let directories = std::fs::read_dir(kubelet.options.directory.join("pods"));
    dead.extend(
        directories.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()),
    );
    for uid in dead.difference(alive) {
        let filters = names::filter(&[(names::CLUSTER, &kubelet.options.cluster_id), (names::POD_UID, uid)]);
        match containers(&kubelet.docker, filters).await {
            Ok(count) => tracing::info!(uid, containers = count, "removed what was left of a deleted pod"),
            Err(error) => tracing::warn!(uid, %error, "what is left of a deleted pod was not removed"),
        }
        super::volumes::remove(kubelet, uid).await;
    }
}

/// A path as labels carry it.
pub(super) fn absolute(directory: &Path) -> PathBuf {
    std::fs::canonicalize(directory)
        .or_else(|_| std::path::absolute(directory))
        .unwrap_or_else(|_| directory.to_owned())
}

/// Removes everything that the cluster of a state directory made in the engine, by the directory and, if it is known, by
/// the cluster's id. `registry` is the `host:port` of the cluster's registry: the names that images have under it go
/// too, and the images with them unless they have other names or run elsewhere.
///
/// # Errors
/// When the engine doesn't answer, or keeps something.
pub async fn remove_all(
    docker: &Docker,
    cluster_id: Option<&str>,
    directory: &Path,
    registry: Option<&str>,
) -> Result<Removed, Error> {
    let directory = absolute(directory).display().to_string();
    let mut removed = Removed::default();
    if let Some(id) = cluster_id {
        // Before the image goes that they are emptied with.
        provision::remove_all(docker, id, Path::new(&directory)).await;
    }
    let labels = [cluster_id.map(|id| (names::CLUSTER, id)), Some((names::DIRECTORY, directory.as_str()))];
    for label in labels.into_iter().flatten() {
        let filters = names::filter(&[label]);
        removed.containers += containers(docker, filters.clone()).await?;
        removed.volumes += volumes(docker, filters.clone()).await;
        let networks = docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await?;
        for network in networks.iter().filter_map(|network| network.id.as_deref()) {
            docker.remove_network(network).await?;
            removed.networks += 1;
        }
    }
    for label in labels.into_iter().flatten() {
        removed.images += labelled_images(docker, label).await?;
    }
    removed.images += named_images(docker, cluster_id, registry).await?;
    Ok(removed)
}

/// Node images, of this version or one before, with or without a name.
async fn labelled_images(docker: &Docker, label: (&str, &str)) -> Result<usize, Error> {
    let filters = Some(names::filter(&[label]));
    let mut count = 0;
    for image in docker.list_images(Some(ListImagesOptions { all: true, filters, ..Default::default() })).await? {
        let force = RemoveImageOptions { force: true, ..Default::default() };
        count += usize::from(docker.remove_image(&image.id, Some(force), None).await.is_ok());
    }
    Ok(count)
}

async fn named_images(docker: &Docker, cluster_id: Option<&str>, registry: Option<&str>) -> Result<usize, Error> {
    let prefixes: Vec<String> = cluster_id
        .map(|id| format!("slipway-{id}/"))
        .into_iter()
        .chain(registry.map(|registry| format!("{registry}/")))
        .collect();
    let mut count = 0;
    for image in docker.list_images(Some(ListImagesOptions { digests: true, ..Default::default() })).await? {
        // Tags first: an image that keeps none of its names goes with the last.
        let digests = image.repo_digests.iter();
        for name in image.repo_tags.iter().chain(digests) {
            if !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let options = RemoveImageOptions::default();
            match docker.remove_image(name, Some(options), None).await {
                Ok(_) => count += 1,
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
                Err(error) => tracing::warn!(%error, image = name, "an image is left behind"),
            }
        }
    }
    Ok(count)
}
