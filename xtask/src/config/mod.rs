//! infra-config/ENVIRONMENT.yaml becomes a validated [`Environment`].

mod address;
pub mod aws;
mod duration;
mod environment;
mod fields;
mod load;
mod located;
mod providers;
mod schema;
mod services;
pub mod variables;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    image::reference::Repository,
};

pub use aws::{Aws, Ecr, EcrEncryption, Eks, S3State, SecretOrigin, SecretSource, State, Uploads};
pub(crate) use duration::parse as parse_duration;
pub(crate) use fields::closest;
pub use load::{DIRECTORY, environments, find_root, load};
pub use schema::schema;
pub(crate) use services::in_order;

/// One place that the service is shipped to; every path is absolute.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The file's name without its ending, for example `local`.
    pub name: String,
    /// The file that it was read from.
    pub file: PathBuf,
    /// The repository's root.
    pub root: PathBuf,
    /// What is shipped: one service or more.
    pub services: Vec<Service>,
    /// Where images are pushed.
    pub registry: Registry,
    /// Where the services run.
    pub cluster: Cluster,
    /// How long a rollout may take, and what follows when it fails.
    pub rollout: Rollout,
    /// How releases are recorded and locked.
    pub release: Release,
    /// Where they are recorded and locked.
    pub state: State,
    /// The account that the rest of it is in, where anything is on AWS.
    pub aws: Option<Aws>,
    /// The bucket for what the services are given.
    pub uploads: Option<Uploads>,
}

/// A service being shipped.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name of the Kubernetes Service, of the Deployment and of the image in the manifests.
    pub name: String,
    /// The namespace that they live in.
    pub namespace: String,
    /// How its image is made.
    pub image: Image,
    /// The Kustomize overlay.
    pub manifests: PathBuf,
    /// What is asked of the deployed service.
    pub verify: Vec<Check>,
    /// The services that must be released before it.
    pub needs: Vec<String>,
    /// How it is reached for that.
    pub address: Address,
    /// Secrets that are made of what AWS keeps.
    pub secrets: Vec<SecretSource>,
}

/// How those outside the cluster reach a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The way.
    pub through: Through,
    /// The name or number of the Service's port; otherwise the one named `http`, or the first.
    pub port: Option<String>,
    /// The host that an Ingress is asked for; otherwise the first that leads to the Service.
    pub host: Option<String>,
    /// Where it is, whatever the cluster says.
    pub url: Option<String>,
}

/// The way to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Through {
    /// The first of the others that there is.
    #[default]
    Auto,
    /// The address of the Service's load balancer.
    LoadBalancer,
    /// An Ingress that leads to the Service.
    Ingress,
    /// A connection through the API server to one of its pods.
    PortForward,
}

/// One service in one environment: what is released and rolled back as one.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The service.
    pub service: &'a Service,
}

/// How the image is made.
#[derive(Debug, Clone)]
pub struct Image {
    /// The cargo package whose binary goes into the image.
    pub package: String,
    /// The cargo profile that it is compiled with.
    pub profile: String,
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
    /// Nowhere: the nodes of the cluster see the images of the Docker Engine that builds them, as minikube's do.
    None,
    /// Any registry.
    Generic(Generic),
    /// Amazon's, in the account.
    Ecr(Ecr),
}

/// A registry by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic {
    /// `ghcr.io`, `localhost:5000`
    pub host: String,
    /// The repository of the images there, with [`SERVICE`] for the service's name.
    pub repository: String,
    /// Who we are there.
    pub credentials: Credentials,
    /// Whether it speaks http; without an answer only on loopback.
    pub insecure: Option<bool>,
    /// How pods pull from it.
    pub pull_secret: PullSecret,
    /// Who pods are there; without an answer the same as we.
    pub pull_credentials: Option<Credentials>,
}

/// Stands for the service's name in the repository of a registry.
pub const SERVICE: &str = "{service}";

/// Where credentials are. They themselves are never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Where `docker login` put them; none where nobody has logged in.
    Docker,
    /// None.
    Anonymous,
    /// In environment variables of these names.
    Variables {
        /// Holds the name, or what the registry takes in its place.
        username: String,
        /// Holds the password or token.
        password: String,
    },
}

/// The Secret that pods pull with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullSecret {
    /// Made when the registry refuses the image to strangers.
    WhenRefused,
    /// Made, with this name.
    Named(String),
    /// Not made: the nodes have credentials of their own.
    Never,
}

impl Generic {
    /// The repository of a service's images.
    ///
    /// # Errors
    /// It is none.
    pub fn repository(&self, service: &str) -> Result<Repository> {
        format!("{}/{}", self.host, self.repository.replace(SERVICE, service)).parse()
    }
}

/// Where the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// The embedded Kubernetes.
    Local,
    /// The one that a kubeconfig names.
    Kubeconfig(Kubeconfig),
    /// An EKS cluster, which a deploy makes.
    Eks(Box<Eks>),
}

/// A cluster of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The context; what happens to be the current one is never used.
    pub context: String,
    /// The file; without one those that kubectl reads, `KUBECONFIG` or `~/.kube/config`.
    pub file: Option<PathBuf>,
}

/// The rollout's limits.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// How long it may take.
    pub timeout: Duration,
    /// What follows when a release fails.
    pub on_failure: OnFailure,
}

/// What follows when a release fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The release before comes back.
    Rollback,
    /// The failed one stays as it is.
    Keep,
}

/// How releases are recorded and locked.
#[derive(Debug, Clone)]
pub struct Release {
    /// The namespace of the records and the lock.
    pub namespace: String,
    /// How many records are kept.
    pub keep: usize,
    /// Whether somebody has to agree before anything is changed.
    pub consent: bool,
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
    /// The service of this name; without a name the only one.
    ///
    /// # Errors
    /// There is no such service, or several and none is named.
    pub fn unit(&self, name: Option<&str>) -> Result<Unit<'_>> {
        let names = || self.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
        let hint = || format!("the services of {} are {}", self.name, names());
        match (name, &self.services[..]) {
            (None, [service]) => Ok(Unit { environment: self, service }),
            (None, _) => Err(Error::usage("which service? name it with --service").hint(hint())),
            (Some(name), services) => match services.iter().find(|service| service.name == name) {
                Some(service) => Ok(Unit { environment: self, service }),
                None => Err(Error::usage(format!("there is no service {name} in {}", self.name)).hint(hint())),
            },
        }
    }

    /// The services of these names, each once and in the file's order; without names all of them.
    ///
    /// # Errors
    /// There is no such service.
    pub fn select(&self, names: &[String]) -> Result<Vec<Unit<'_>>> {
        for name in names {
            self.unit(Some(name))?;
        }
        Ok(self.units().filter(|unit| names.is_empty() || names.contains(&unit.service.name)).collect())
    }

    /// The one service of these names; without names the only one.
    ///
    /// # Errors
    /// There is no such service, or more than one.
    pub fn only(&self, names: &[String]) -> Result<Unit<'_>> {
        match self.select(names)?[..] {
            [unit] => Ok(unit),
            _ => self.unit(None),
        }
    }

    /// The environment `name` with one service `app`, whose manifests are in `root/m`.
    #[cfg(test)]
    pub(crate) fn example(name: &str, root: PathBuf) -> Self {
        let service = Service {
            name: "app".into(),
            namespace: "app".into(),
            image: Image { package: "app".into(), profile: "release".into(), builder: Builder::Host },
            manifests: root.join("m"),
            verify: Vec::new(),
            needs: Vec::new(),
            address: Address::default(),
            secrets: Vec::new(),
        };
        Self {
            name: name.to_owned(),
            file: root.join(format!("infra-config/{name}.yaml")),
            root,
            services: vec![service],
            registry: Registry::Local,
            cluster: Cluster::Local,
            rollout: Rollout { timeout: Duration::from_secs(1), on_failure: OnFailure::Rollback },
            release: Release { namespace: "slipway".into(), keep: 10, consent: false },
            state: State::Cluster,
            aws: None,
            uploads: None,
        }
    }

    /// Each service in this environment.
    pub fn units(&self) -> impl Iterator<Item = Unit<'_>> {
        self.services.iter().map(|service| Unit { environment: self, service })
    }

    /// Where the pipeline keeps what it knows about this repository; not under version control.
    pub fn state(&self) -> PathBuf {
        self.root.join(".slipway")
    }
}

#[cfg(test)]
mod tests;
