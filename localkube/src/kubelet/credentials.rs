//! What a pod's `imagePullSecrets` hold for the registry of an image
//! (<https://kubernetes.io/docs/concepts/containers/images/#specifying-imagepullsecrets-on-a-pod>).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::auth::DockerCredentials;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::sources::{Data, Sources};

/// The contents of `.dockerconfigjson`. It holds credentials and is never printed.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
}

/// The credentials that may fit, in the order of the Secrets, and the names of the Secrets that are not there.
pub(super) async fn of(pod: &Pod, image: &str, sources: &mut Sources) -> (Vec<DockerCredentials>, Vec<String>) {
    let (mut fitting, mut absent) = (Vec::new(), Vec::new());
    let secrets = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_deref()).unwrap_or_default();
    for name in secrets.iter().map(|secret| &secret.name) {
        match sources.secret(name).await {
            Ok(data) => fitting.extend(fit(data, image)),
            Err(_) => absent.push(name.clone()),
        }
    }
    (fitting, absent)
}

/// The entries of one Secret for the image, the most exact first.
fn fit(data: &Data, image: &str) -> Vec<DockerCredentials> {
    let config = data.get(".dockerconfigjson").and_then(|text| serde_json::from_slice::<Config>(text).ok());
    let auths = config.map(|config| config.auths).or_else(|| serde_json::from_slice(data.get(".dockercfg")?).ok());
    let mut entries: Vec<(String, Entry)> = auths.unwrap_or_default().into_iter().collect();
    entries.retain(|(server, _)| serves(server, image));
    entries.sort_by_key(|(server, _)| std::cmp::Reverse(place(server).len()));
    entries.into_iter().filter_map(|(server, entry)| entry.credentials(server)).collect()
}

/// Whether credentials for `server`, a host with or without a path, are for the image.
fn serves(server: &str, image: &str) -> bool {
    let (host, path) = image.split_once('/').unwrap_or(("", image));
    let explicit = host.contains(['.', ':']) || host == "localhost";
    let (host, path) = if explicit && host != "docker.io" { (host, path) } else { ("index.docker.io", path) };
    let image = format!("{host}/{path}");
    image.strip_prefix(place(server)).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']))
}

/// `https://host/v1/` as `host`.
fn place(server: &str) -> &str {
    let place = server.split_once("://").map_or(server, |(_, place)| place).trim_end_matches('/');
    place.strip_suffix("/v1").or_else(|| place.strip_suffix("/v2")).unwrap_or(place)
}

impl Entry {
    fn credentials(self, server: String) -> Option<DockerCredentials> {
        let (username, password) = if self.username.is_empty() {
            let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
            text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))?
        } else {
            (self.username, self.password)
        };
        let (username, password, serveraddress) = (Some(username), Some(password), Some(server));
        Some(DockerCredentials { username, password, serveraddress, ..DockerCredentials::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fit_by_host_and_path() {
        for (server, image, expected) in [
            ("ghcr.io", "ghcr.io/a/b:1", true),
            ("https://ghcr.io", "ghcr.io/a/b@sha256:0", true),
            ("ghcr.io/a", "ghcr.io/a/b", true),
            ("ghcr.io/a", "ghcr.io/ab/c", false),
            ("ghcr.io", "ghcr.io.example.com/a", false),
            ("https://index.docker.io/v1/", "busybox", true),
            ("https://index.docker.io/v1/", "docker.io/library/busybox", true),
            ("127.0.0.1:5000", "127.0.0.1:5000/app", true),
            ("127.0.0.1:500", "127.0.0.1:5000/app", false),
        ] {
            assert_eq!(serves(server, image), expected, "{server} for {image}");
        }
    }

    #[test]
    fn the_most_exact_entry_is_first() {
        let auth = STANDARD.encode("b:2");
        let config =
            format!(r#"{{"auths": {{"h.io": {{"username": "a", "password": "1"}}, "h.io/x": {{"auth": "{auth}"}}}}}}"#);
        let data = Data::from([(".dockerconfigjson".to_owned(), config.into_bytes())]);
        let names: Vec<_> = fit(&data, "h.io/x/y").into_iter().map(|found| (found.username, found.password)).collect();
        let pair = |name: &str, password: &str| (Some(name.to_owned()), Some(password.to_owned()));
        assert_eq!(names, [pair("b", "2"), pair("a", "1")]);
    }
}
