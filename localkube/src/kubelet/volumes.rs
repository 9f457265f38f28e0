//! A pod's volumes: files from objects in the cluster's directory, scratch space in volumes of the engine.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use bollard::models::{Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{
        Container, DownwardAPIVolumeFile, EmptyDirVolumeSource, KeyToPath, Pod, ServiceAccount,
        ServiceAccountTokenProjection, Volume, VolumeMount,
    },
};
use kube::{Api, api::PostParams};

use super::{
    Kubelet, claims,
    downward::{self, Facts},
    files::{self, Files},
    images, names, quantity,
    sources::{Data, Sources},
};

/// What a volume's default mode is when nothing says otherwise (the API server fills it in).
const MODE: i32 = 0o644;

/// Where a volume's content is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A path of the host.
    Host(PathBuf),
    /// A volume of the engine.
    Engine(String),
    /// A directory of the host that outlives the pod, and whether it may only be read.
    Kept(PathBuf, bool),
}

/// A pod's volumes by name.
pub(super) type Places = BTreeMap<String, Place>;

/// Tokens of service accounts, kept until they need renewal.
pub(super) type Tokens = Mutex<HashMap<String, (String, Timestamp)>>;

/// Where a pod's volumes and termination messages are.
pub(super) fn directory(kubelet: &Kubelet, uid: &str) -> PathBuf {
    kubelet.options.directory.join("pods").join(uid)
}

/// Makes every volume of the pod, or brings its content up to date.
///
/// # Errors
/// In the kubelet's words, for the first volume that can't be made.
pub(super) async fn prepare(kubelet: &Kubelet, pod: &Pod, facts: &Facts, tokens: &Tokens) -> Result<Places, String> {
    let mut sources = Sources::new(kubelet.client.clone(), names::namespace(pod));
    let mut places = Places::new();
    let spec = pod.spec.as_ref();
    for volume in spec.and_then(|spec| spec.volumes.as_ref()).into_iter().flatten() {
        let place = place(kubelet, pod, volume, facts, tokens, &mut sources).await;
        let failed = |error| format!("MountVolume.SetUp failed for volume \"{}\" : {error}", volume.name);
        places.insert(volume.name.clone(), place.map_err(failed)?);
    }
    Ok(places)
}

async fn place(
    kubelet: &Kubelet,
    pod: &Pod,
    volume: &Volume,
    facts: &Facts,
    tokens: &Tokens,
    sources: &mut Sources,
) -> Result<Place, String> {
    if let Some(empty) = &volume.empty_dir {
        return scratch(kubelet, pod, &volume.name, empty).await;
    }
    if let Some(host) = &volume.host_path {
        if host.type_.as_deref() == Some("DirectoryOrCreate") {
            fs::create_dir_all(&host.path).map_err(|error| error.to_string())?;
        }
        return Ok(Place::Host(host.path.clone().into()));
    }
    if let Some(of) = &volume.persistent_volume_claim {
        return claims::place(kubelet, pod, &volume.name, of).await;
    }
    let mut files = Files::new();
    if let Some(of) = &volume.config_map {
        let mode = of.default_mode.unwrap_or(MODE);
        let data = sources.config_map(&of.name).await;
        select(&mut files, data, "configmap", of.items.as_ref(), mode, of.optional)?;
    } else if let Some(of) = &volume.secret {
        let mode = of.default_mode.unwrap_or(MODE);
        let data = sources.secret(of.secret_name.as_deref().unwrap_or_default()).await;
        select(&mut files, data, "secret", of.items.as_ref(), mode, of.optional)?;
    } else if let Some(of) = &volume.downward_api {
        describe(&mut files, pod, facts, of.items.as_ref(), of.default_mode.unwrap_or(MODE))?;
    } else if let Some(of) = &volume.projected {
        let mode = of.default_mode.unwrap_or(MODE);
        for source in of.sources.iter().flatten() {
            if let Some(of) = &source.config_map {
                let optional = if of.name == "kube-root-ca.crt" { Some(true) } else { of.optional };
                let data = sources.config_map(&of.name).await;
                select(&mut files, data, "configmap", of.items.as_ref(), mode, optional)?;
            } else if let Some(of) = &source.secret {
                let data = sources.secret(&of.name).await;
                select(&mut files, data, "secret", of.items.as_ref(), mode, of.optional)?;
            } else if let Some(of) = &source.downward_api {
                describe(&mut files, pod, facts, of.items.as_ref(), mode)?;
            } else if let Some(of) = &source.service_account_token {
                match token(kubelet, pod, of, tokens).await {
                    Ok(token) => drop(files.insert(of.path.clone(), (token.into_bytes(), bits(mode)))),
                    // The volume that every pod gets must not keep pods that never look at it from starting.
                    Err(error) if volume.name.starts_with("kube-api-access-") => {
                        tracing::debug!(%error, pod = names::full(pod), "no service account token");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    } else {
        return Err("this kind of volume is not supported on this node".to_owned());
    }
    let directory = directory(kubelet, names::uid(pod)).join("volumes").join(&volume.name);
    let group = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()).and_then(|all| all.fs_group);
    files::write(&directory, &files, group).map_err(|error| error.to_string())?;
    Ok(Place::Host(directory))
}

/// The chosen entries of a ConfigMap or Secret, or all.
fn select(
    files: &mut Files,
    data: Result<&Data, String>,
    kind: &str,
    items: Option<&Vec<KeyToPath>>,
    mode: i32,
    optional: Option<bool>,
) -> Result<(), String> {
    let data = match data {
        Err(_) if optional == Some(true) => return Ok(()),
        data => data?,
    };
    let Some(items) = items else {
        files.extend(data.iter().map(|(key, value)| (key.clone(), (value.clone(), bits(mode)))));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), (value.clone(), bits(item.mode.unwrap_or(mode))));
            }
            None if optional == Some(true) => {}
            None => return Err(format!("{kind} references non-existent {kind} key: {}", item.key)),
        }
    }
    Ok(())
}

fn describe(
    files: &mut Files,
    pod: &Pod,
    facts: &Facts,
    items: Option<&Vec<DownwardAPIVolumeFile>>,
    mode: i32,
) -> Result<(), String> {
    for item in items.into_iter().flatten() {
        let text = if let Some(of) = &item.field_ref {
            downward::field(pod, facts, &of.field_path)?
        } else if let Some(of) = &item.resource_field_ref {
            downward::resource(pod, &Container::default(), facts, of)?
        } else {
            continue;
        };
        files.insert(item.path.clone(), (text.into_bytes(), bits(item.mode.unwrap_or(mode))));
    }
    Ok(())
}

fn bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0o644) & 0o777
}

/// A token for the pod's service account, renewed when a fifth of its life is left.
async fn token(
    kubelet: &Kubelet,
    pod: &Pod,
    of: &ServiceAccountTokenProjection,
    tokens: &Tokens,
) -> Result<String, String> {
    let now = Timestamp::now();
    if let Some((token, renew)) = tokens.lock().expect("no holder panics").get(&of.path)
        && now < *renew
    {
        return Ok(token.clone());
    }
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let seconds = of.expiration_seconds.unwrap_or(3600);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(of.audience.iter().cloned().collect()),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..Default::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(kubelet.client.clone(), names::namespace(pod));
    let answer = api.create_token_request(account, &PostParams::default(), &request).await;
    let answer = answer.map_err(|error| format!("failed to fetch token: {error}"))?;
    let token = answer.status.and_then(|status| status.token).unwrap_or_default();
    let renew = now.saturating_add(SignedDuration::from_secs(seconds * 4 / 5)).unwrap_or(now);
    tokens.lock().expect("no holder panics").insert(of.path.clone(), (token.clone(), renew));
    Ok(token)
}

/// Scratch space is the engine's, as only it can remove what a container's user leaves there.
async fn scratch(kubelet: &Kubelet, pod: &Pod, name: &str, empty: &EmptyDirVolumeSource) -> Result<Place, String> {
    let options = &kubelet.options;
    let mut labels = names::labels(&options.cluster_id, &options.directory, names::ROLE_VOLUME);
    labels.insert(names::POD_UID.to_owned(), names::uid(pod).to_owned());
    let volume = names::volume(&options.cluster_id, pod, name);
    let driver_opts = (empty.medium.as_deref() == Some("Memory")).then(|| {
        let size = empty.size_limit.as_ref().and_then(quantity::whole);
        let size = size.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
        HashMap::from([
            ("type".to_owned(), "tmpfs".to_owned()),
            ("device".to_owned(), "tmpfs".to_owned()),
            ("o".to_owned(), format!("mode=0777{size}")),
        ])
    });
    let request =
        VolumeCreateRequest { name: Some(volume.clone()), driver_opts, labels: Some(labels), ..Default::default() };
    kubelet.docker.create_volume(request).await.map_err(|error| images::words(&error))?;
    Ok(Place::Engine(volume))
}

/// Where a container sees its volumes.
///
/// # Errors
/// When a mount names no volume, or its `subPath` is not there.
pub(super) async fn mounts(
    kubelet: &Kubelet,
    container: &Container,
    places: &Places,
    expand: impl Fn(&str) -> String,
) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let place = places.get(&mount.name).ok_or_else(|| format!("volume {} is not there", mount.name))?;
        let below = mount.sub_path.clone().or_else(|| mount.sub_path_expr.as_deref().map(&expand));
        let mut result = Mount {
            target: Some(mount.mount_path.clone()),
            read_only: Some(read_only(mount, place, &kubelet.options.directory)),
            ..Default::default()
        };
        match (place, below.filter(|below| !below.is_empty())) {
            (Place::Engine(volume), None) => {
                result.typ = Some(MountType::VOLUME);
                result.source = Some(volume.clone());
                result.volume_options = Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() });
            }
            (Place::Engine(volume), Some(below)) => {
                let found = kubelet.docker.inspect_volume(volume).await.map_err(|error| images::words(&error))?;
                result.typ = Some(MountType::BIND);
                result.source = Some(format!("{}/{below}", found.mountpoint));
            }
            (Place::Host(path) | Place::Kept(path, _), below) => {
                // Links inside are relative to the volume: what the engine mounts is what they lead to now.
                let path = below.map_or_else(|| path.clone(), |below| path.join(below));
                let path = fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                result.typ = Some(MountType::BIND);
                result.source = Some(path.display().to_string());
            }
        }
        mounts.push(result);
    }
    Ok(mounts)
}

/// Files that come from objects can't be written by containers.
fn read_only(mount: &VolumeMount, place: &Place, directory: &Path) -> bool {
    let from_objects = matches!(place, Place::Host(path) if path.starts_with(directory));
    from_objects || mount.read_only == Some(true) || matches!(place, Place::Kept(_, true))
}

/// Removes everything that was kept for a pod; the engine's volumes are free once its containers are gone.
pub(super) async fn remove(kubelet: &Kubelet, uid: &str) {
    let directory = directory(kubelet, uid);
    if let Err(error) = fs::remove_dir_all(&directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, directory = %directory.display(), "a pod's directory is left behind");
    }
    let filters = names::filter(&[(names::CLUSTER, &kubelet.options.cluster_id), (names::POD_UID, uid)]);
    super::cleanup::volumes(&kubelet.docker, filters).await;
}

/// The `subPath` directories that containers expect in scratch space, by volume.
pub(super) fn sub_paths<'a>(pod: &'a Pod, volume: &str) -> Vec<&'a str> {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers
        .flat_map(|container| container.volume_mounts.iter().flatten())
        .filter(|mount| mount.name == volume)
        .filter_map(|mount| mount.sub_path.as_deref())
        .filter(|path| !path.is_empty() && !path.split('/').any(|part| part == ".."))
        .collect()
}
