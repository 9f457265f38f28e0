//! Where the Kubernetes API is: an enum of providers, chosen in one function.

mod access;
mod client;
pub mod eks;
mod kubeconfig;
pub mod local;
mod ports;
mod process;
pub mod rehearsal;

use std::{path::Path, time::Duration};

pub use client::from_kubeconfig;
pub use ports::published;

use crate::{
    config::{self, Environment},
    error::{Error, Result},
    manifests::Object,
    ui::{Outcome, Step},
};

/// How long an API server may take to say its version; an exec plugin that logs in is part of it.
const ANSWER: Duration = Duration::from_secs(30);
const UNREACHABLE: &str = "is the cluster there, and is its API reachable from this machine?";

/// A cluster that answers.
#[derive(Clone)]
pub struct Connection {
    /// A client with its credentials.
    pub client: kube::Client,
    /// What it is, for people: `local Kubernetes v1.36.2`, `kubeconfig kind-kind, Kubernetes v1.36.1`.
    pub description: String,
    /// Whether it had to be made for this connection.
    pub outcome: Outcome,
}

/// Whether a cluster that differs from its configuration is made what it says, or only used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is made, and changed.
    Make,
    /// It is used as it is. One on this machine is started, as nothing else can use it.
    Use,
}

/// Connects to the environment's cluster, making it first when that is wanted.
///
/// # Errors
/// When it can neither be reached nor made.
pub async fn connect(environment: &Environment, purpose: Purpose, step: &Step) -> Result<Connection> {
    match &environment.cluster {
        config::Cluster::Local => {
            let (_, client, outcome) = local::ensure(&environment.root, step).await?;
            describe("local", client, outcome).await
        }
        config::Cluster::Kubeconfig(kubeconfig) => reach(kubeconfig).await,
        config::Cluster::Eks(eks) => {
            let outcome = match purpose {
                Purpose::Make => Box::pin(eks::ensure(environment, eks, step)).await?,
                Purpose::Use => Outcome::Same,
            };
            let client = Box::pin(eks::find(eks)).await?.ok_or_else(|| {
                Error::failed(format!("there is no cluster {} in {}", eks.name, eks.aws.region))
                    .hint(format!("make it: cargo xtask cluster up --env {}", environment.name))
            })?;
            if outcome != Outcome::Same {
                access::admitted(&client, step).await;
            }
            describe(&format!("EKS {},", eks.name), client, outcome).await
        }
    }
}

/// Connects to the environment's cluster only if it is there; makes nothing.
///
/// # Errors
/// When it is there and does not answer.
pub async fn find(environment: &Environment) -> Result<Option<Connection>> {
    match &environment.cluster {
        config::Cluster::Local => match local::find(&environment.root)? {
            None => Ok(None),
            Some(running) => {
                let client = from_kubeconfig(&running.kubeconfig).await?;
                describe("local", client, Outcome::Same).await.map(Some)
            }
        },
        config::Cluster::Kubeconfig(kubeconfig) => reach(kubeconfig).await.map(Some),
        config::Cluster::Eks(eks) => {
            match rehearsal::is_missing(&eks.aws).await || Box::pin(eks::find(eks)).await?.is_none() {
                true => Ok(None),
                false => connect(environment, Purpose::Use, &Step::silent()).await.map(Some),
            }
        }
    }
}

/// Whether a cluster that does not run holds what earlier deploys made; one that never was holds nothing.
pub fn keeps_state(environment: &Environment) -> bool {
    match &environment.cluster {
        config::Cluster::Local => local::directory(&environment.root).join("store.redb").exists(),
        // It is no command's to start or to stop.
        config::Cluster::Kubeconfig(_) => true,
        // There is none, not even a stopped one.
        config::Cluster::Eks(_) => false,
    }
}

/// What keeps this provider from publishing the ports that the manifests ask for: one error a port. Nothing where ports
/// are not this machine's.
pub fn check_ports(environment: &Environment, ports: &[u16]) -> Option<Vec<Error>> {
    match &environment.cluster {
        config::Cluster::Local => {
            Some(ports.iter().filter_map(|port| ports::check(&environment.root, *port)).collect())
        }
        config::Cluster::Kubeconfig(_) | config::Cluster::Eks(_) => None,
    }
}

/// What keeps a deploy of these objects from working on a cluster that is not ours to start: it does not answer, or does
/// not let us. Says what it is, where there is anything to say.
pub async fn check_access(environment: &Environment, objects: &[Object]) -> Result<Option<String>, Vec<Error>> {
    match &environment.cluster {
        config::Cluster::Local => Ok(None),
        config::Cluster::Kubeconfig(_) | config::Cluster::Eks(_) => {
            // What is not there yet lets in whom the configuration names.
            let Some(connection) = find(environment).await.map_err(|error| vec![error])? else { return Ok(None) };
            let refused = access::refused(&connection.client, &environment.release.namespace, objects).await;
            match refused.map_err(|error| vec![error])? {
                refused if refused.is_empty() => Ok(Some(connection.description)),
                refused => Err(refused),
            }
        }
    }
}

/// The log of the cluster's own processes, where this machine has it.
pub fn log_file(root: &Path) -> std::path::PathBuf {
    local::directory(root).join("serve.log")
}

async fn reach(wanted: &config::Kubeconfig) -> Result<Connection> {
    let client = kubeconfig::connect(wanted).await?;
    describe(&format!("kubeconfig {},", wanted.context), client, Outcome::Same).await
}

async fn describe(provider: &str, client: kube::Client, outcome: Outcome) -> Result<Connection> {
    let version = tokio::time::timeout(ANSWER, client.apiserver_version()).await;
    let failed = || Error::failed(format!("ask the cluster ({}) for its version", provider.trim_end_matches(',')));
    let version = match version {
        Ok(version) => version.map_err(|error| failed().source(&error).hint(remedy(&error)))?,
        Err(_) => return Err(failed().cause(format!("no answer within {} s", ANSWER.as_secs())).hint(UNREACHABLE)),
    };
    let description = format!("{provider} Kubernetes {}", version.git_version);
    Ok(Connection { client, description, outcome })
}

/// What helps a person whose cluster does not answer, or does not let them in.
fn remedy(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            "its credentials are not taken: have the cluster's provider write the kubeconfig anew"
        }
        kube::Error::Auth(_) => "the kubeconfig's credential plugin must run here and be logged in",
        _ => UNREACHABLE,
    }
}
