//! Where the Kubernetes API is: an enum of providers, chosen in one function.

mod client;
pub mod local;
mod ports;
mod process;

use std::path::Path;

pub use client::from_kubeconfig;
pub use ports::published;

use crate::{
    config::{self, Environment},
    error::{Error, Result},
    ui::{Outcome, Step},
};

/// A cluster that answers.
#[derive(Clone)]
pub struct Connection {
    /// A client with its credentials.
    pub client: kube::Client,
    /// What it is, for people: `local Kubernetes v1.36.2`.
    pub description: String,
    /// Whether it had to be made for this connection.
    pub outcome: Outcome,
}

/// Connects to the environment's cluster, making it first when it is one that a deploy makes.
///
/// # Errors
/// When it can neither be reached nor made.
pub async fn connect(environment: &Environment, step: &Step) -> Result<Connection> {
    match environment.cluster {
        config::Cluster::Local => {
            let (running, outcome) = local::ensure(&environment.root, step).await?;
            describe("local", from_kubeconfig(&running.kubeconfig).await?, outcome).await
        }
    }
}

/// Connects to the environment's cluster only if it is there; makes nothing.
///
/// # Errors
/// When it is there and does not answer.
pub async fn find(environment: &Environment) -> Result<Option<Connection>> {
    match environment.cluster {
        config::Cluster::Local => match local::find(&environment.root)? {
            None => Ok(None),
            Some(running) => {
                let client = from_kubeconfig(&running.kubeconfig).await?;
                describe("local", client, Outcome::Same).await.map(Some)
            }
        },
    }
}

/// Whether a cluster that does not run holds what earlier deploys made; one that never was holds nothing.
pub fn keeps_state(environment: &Environment) -> bool {
    match environment.cluster {
        config::Cluster::Local => local::directory(&environment.root).join("store.redb").exists(),
    }
}

/// What keeps this provider from publishing the ports that the manifests ask for: one error a port.
pub fn check_ports(environment: &Environment, ports: &[u16]) -> Vec<Error> {
    match environment.cluster {
        config::Cluster::Local => ports.iter().filter_map(|port| ports::check(&environment.root, *port)).collect(),
    }
}

/// The log of the cluster's own processes, where this machine has it.
pub fn log_file(root: &Path) -> std::path::PathBuf {
    local::directory(root).join("serve.log")
}

async fn describe(provider: &str, client: kube::Client, outcome: Outcome) -> Result<Connection> {
    let version = client
        .apiserver_version()
        .await
        .map_err(|error| Error::failed(format!("ask the {provider} Kubernetes for its version")).source(&error))?;
    let description = format!("{provider} Kubernetes {}", version.git_version);
    Ok(Connection { client, description, outcome })
}
