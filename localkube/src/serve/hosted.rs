//! A cluster whose owner starts this program in the place of k3s, in a container: the arguments and files that k3s has
//! there, and what of them is understood.
//!
//! Who may come in is asked of the owner's webhook (TokenReview), images come from the owner's mirrors. Pods are
//! containers of the Docker Engine whose socket the container was given, beside it and not inside.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bollard::{
    Docker,
    models::{NetworkConnectRequest, NetworkDisconnectRequest},
};
use serde::Deserialize;

use super::{Error, directory::Directory, webhook::Webhook};
use crate::kubelet::{self, Mirrors};

/// Where owners look for the authority's certificate; when it is there, the API answers.
const CERTIFICATE: &str = "var/lib/rancher/k3s/server/tls/server-ca.crt";
/// Where k3s leaves the administrator's kubeconfig.
const KUBECONFIG: &str = "etc/rancher/k3s/k3s.yaml";
/// Where k3s looks for mirrors of registries (<https://docs.k3s.io/installation/private-registry>).
const REGISTRIES: &str = "etc/rancher/k3s/registries.yaml";

/// What the owner asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// Where the API listens, in the container.
    port: u16,
    /// A kubeconfig that names the webhook.
    webhook: Option<PathBuf>,
    /// Labels of the node.
    labels: BTreeMap<String, String>,
    /// `/`, and another directory in tests.
    root: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Registries {
    mirrors: BTreeMap<String, Endpoints>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoints {
    endpoint: Vec<String>,
}

impl Hosted {
    /// Understands the arguments of `k3s`, whose files are below `root`.
    ///
    /// # Errors
    /// The first that is not understood: whoever gives it would not get what it asks for.
    pub fn understand(arguments: &[String], root: &Path) -> Result<Self, String> {
        let mut arguments = arguments.iter().map(String::as_str);
        if arguments.next() != Some("server") {
            return Err("only `server` is understood".to_owned());
        }
        let mut hosted = Self { port: 6443, webhook: None, labels: BTreeMap::new(), root: root.to_owned() };
        for argument in arguments {
            let unknown = || format!("the argument {argument} is not understood");
            let (name, value) = argument.split_once('=').ok_or_else(unknown)?;
            match name {
                "--https-listen-port" => hosted.port = value.parse().map_err(|_| unknown())?,
                // None of k3s's parts is here, and the names in the certificate are those of this machine.
                "--disable" | "--tls-san" => {}
                "--node-label" => {
                    let (key, value) = value.split_once('=').ok_or_else(unknown)?;
                    hosted.labels.insert(key.to_owned(), value.to_owned());
                }
                "--kube-apiserver-arg" => match value.split_once('=') {
                    Some(("authentication-token-webhook-config-file", file)) => {
                        hosted.webhook = Some(root.join(file.trim_start_matches('/')));
                    }
                    _ => return Err(unknown()),
                },
                _ => return Err(unknown()),
            }
        }
        Ok(hosted)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn webhook(&self) -> Result<Option<Webhook>, Error> {
        let Some(path) = &self.webhook else { return Ok(None) };
        let text =
            fs::read_to_string(path).map_err(|source| Error::Io { doing: "read", path: path.clone(), source })?;
        let broken = |reason| Error::State { path: path.clone(), reason };
        Webhook::of_kubeconfig(&text).map(Some).map_err(broken)
    }

    /// What of the kubelet is particular to such a cluster.
    pub(super) fn node(&self, mut options: kubelet::Options) -> Result<kubelet::Options, Error> {
        let path = self.root.join(REGISTRIES);
        if let Ok(text) = fs::read_to_string(&path) {
            let registries: Registries =
                serde_yaml::from_str(&text).map_err(|error| Error::State { path, reason: error.to_string() })?;
            let first = |(host, list): (String, Endpoints)| Some((host, list.endpoint.into_iter().next()?));
            options.mirrors = Mirrors::new(registries.mirrors.into_iter().filter_map(first));
        }
        options.labels = self.labels.clone();
        Ok(options)
    }

    /// Leaves the certificate last, as it means that all is there.
    pub(super) fn announce(&self, directory: &Directory, certificate: &str) -> Result<(), Error> {
        let kubeconfig = directory.read("kubeconfig")?.unwrap_or_default();
        for (name, text) in [(KUBECONFIG, kubeconfig.as_str()), (CERTIFICATE, certificate)] {
            let path = self.root.join(name);
            let written = fs::create_dir_all(path.parent().unwrap_or(&path)).and_then(|()| fs::write(&path, text));
            written.map_err(|source| Error::Io { doing: "write", path, source })?;
        }
        Ok(())
    }
}

/// Joins the container that this process runs in to the network of the pods, which are beside it.
pub(super) async fn join(docker: &Docker, cluster_id: &str) -> Result<(), String> {
    let request = NetworkConnectRequest { container: here()?, ..Default::default() };
    match docker.connect_network(&kubelet::network_name(cluster_id), request).await {
        // It was connected before it was started again.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 403, .. }) => Ok(()),
        result => result.map_err(|error| format!("joining the network of the pods: {error}")),
    }
}

/// Removes the pods and their network; the container goes for good, and nobody else knows of them.
pub(super) async fn clear(docker: &Docker, cluster_id: &str, directory: &Path) -> Result<(), String> {
    // A network with anybody in it stays.
    let request = NetworkDisconnectRequest { container: here()?, force: Some(true) };
    let _ = docker.disconnect_network(&kubelet::network_name(cluster_id), request).await;
    kubelet::remove_all(docker, Some(cluster_id), directory, None).await.map(drop).map_err(|error| error.to_string())
}

/// The container's name for itself, which no other of the engine has.
fn here() -> Result<String, String> {
    let name = fs::read_to_string("/etc/hostname").map_err(|error| format!("/etc/hostname: {error}"))?;
    Ok(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understand(text: &str) -> Result<Hosted, String> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Hosted::understand(&arguments, Path::new("/"))
    }

    #[test]
    fn understands_what_ministack_says() {
        let hosted = understand(
            "server --disable=traefik,metrics-server,servicelb --tls-san=0.0.0.0 --https-listen-port=6444 \
             --kube-apiserver-arg=authentication-token-webhook-config-file=/etc/rancher/k3s/eks-auth-webhook.yaml \
             --node-label=topology.kubernetes.io/zone=us-east-2a",
        )
        .unwrap();
        assert_eq!(hosted.port, 6444);
        assert_eq!(hosted.webhook.as_deref(), Some(Path::new("/etc/rancher/k3s/eks-auth-webhook.yaml")));
        assert_eq!(hosted.labels["topology.kubernetes.io/zone"], "us-east-2a");
    }

    #[test]
    fn refuses_what_it_would_not_do() {
        for arguments in
            ["agent", "server --token=x", "server --kube-apiserver-arg=oidc-client-id=x", "server --docker"]
        {
            assert!(understand(arguments).is_err(), "{arguments}");
        }
    }
}
