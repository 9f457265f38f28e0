//! infra-config/ENVIRONMENT.yaml becomes a validated [`Environment`].

mod duration;
mod environment;
mod fields;
mod load;
mod located;
pub mod variables;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::Value;

pub(crate) use fields::closest;
pub use load::{DIRECTORY, environments, find_root, load};

/// One place that the service is shipped to; every path is absolute.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The file's name without its ending, for example `local`.
    pub name: String,
    /// The file that it was read from.
    pub file: PathBuf,
    /// The repository's root.
    pub root: PathBuf,
    /// The service being shipped.
    pub service: Service,
    /// How its image is made.
    pub image: Image,
    /// Where the image is pushed.
    pub registry: Registry,
    /// Where the service runs.
    pub cluster: Cluster,
    /// The Kustomize overlay.
    pub manifests: PathBuf,
    /// How long a rollout may take.
    pub rollout: Rollout,
    /// What is asked of the deployed service.
    pub verify: Vec<Check>,
}

/// The service being shipped.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name of the Kubernetes Service, of the Deployment and of the image in the manifests.
    pub name: String,
    /// The namespace that they live in.
    pub namespace: String,
}

/// How the image is made.
#[derive(Debug, Clone)]
pub struct Image {
    /// The cargo package whose binary goes into the image.
    pub package: String,
    /// Who builds it.
    pub builder: Builder,
}

/// Who builds the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Builder {
    /// cargo on this machine, then an image FROM scratch.
    Host,
    /// A Dockerfile, through BuildKit.
    Dockerfile {
        /// The Dockerfile.
        file: PathBuf,
    },
}

/// Where the image is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    /// The registry of the local environment, on loopback.
    Local,
}

/// Where the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// The embedded Kubernetes.
    Local,
}

/// The rollout's limits.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// How long it may take.
    pub timeout: Duration,
}

/// One HTTP check of the deployed service.
#[derive(Debug, Clone)]
pub struct Check {
    /// What it shows, for people.
    pub name: String,
    /// The HTTP method.
    pub method: String,
    /// The path, with query.
    pub path: String,
    /// Request headers.
    pub headers: BTreeMap<String, String>,
    /// The request's body.
    pub body: Option<String>,
    /// The status that the answer has.
    pub status: u16,
    /// The JSON that the answer is.
    pub json: Option<Value>,
    /// The text that the answer contains.
    pub contains: Option<String>,
    /// How long to try.
    pub timeout: Duration,
}

impl Environment {
    /// Where the pipeline keeps what it knows about this repository; not under version control.
    pub fn state(&self) -> PathBuf {
        self.root.join(".slipway")
    }
}

#[cfg(test)]
mod tests;
