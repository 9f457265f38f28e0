//! Pushing the image; after it, only its digest travels.
//!
//! The providers are a closed set, chosen in [`choose`]: `local` is the registry of the local environment,
//! with `none` the nodes see the images of the Engine that builds them, `ecr` is Amazon's, `generic` is any other.

mod challenge;
mod client;
mod copy;
mod credentials;
mod docker_config;
mod ecr;
mod local;
pub mod pull;
mod push;
mod token;
mod words;

use std::{collections::BTreeSet, net::SocketAddr};

use bollard::Docker;

pub use credentials::Login;

use crate::{
    cluster,
    config::{self, Environment, Generic, Unit},
    error::{Error, Result},
    image::{
        self, Built,
        reference::{Digest, Pinned, Reference, Repository, Unpushed},
    },
    ui::Step,
};

/// Where images are pushed.
#[derive(Debug, Clone)]
pub enum Registry {
    /// None: the nodes see what the Docker Engine has.
    None,
    /// The local environment's, at this address.
    Local(SocketAddr),
    /// Any other, and who we are there.
    Generic(Generic, Login),
    /// Amazon's.
    Ecr(Box<ecr::Registry>),
}

/// The environment's registry, started first when it is one that a deploy starts.
///
/// # Errors
/// When it cannot be started, or there are no credentials where the configuration says.
pub async fn choose(environment: &Environment, step: &Step) -> Result<Registry> {
    match &environment.registry {
        config::Registry::None => Ok(Registry::None),
        config::Registry::Ecr(settings) => {
            Ok(Registry::Ecr(Box::new(Box::pin(ecr::choose(environment, settings)).await?)))
        }
        config::Registry::Generic(generic) => {
            let login = credentials::find(generic, &generic.credentials).await?;
            Ok(Registry::Generic(generic.clone(), login))
        }
        config::Registry::Local => {
            // Mostly it was made sure of a moment ago, together with the cluster.
            let running = match cluster::local::find(&environment.root)? {
                Some(running) => running,
                None => cluster::local::ensure(&environment.root, step).await?.0,
            };
            let address = running.registry.parse();
            address.map(Registry::Local).map_err(|error| {
                Error::failed(format!("the local registry is at no address: {}", running.registry)).source(&error)
            })
        }
    }
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What is deployed from now on.
    pub image: Reference,
    /// Layers that were sent.
    pub sent: usize,
    /// Layers that were there already.
    pub existing: usize,
}

/// The image by the name that a push would give it, if the registry has it already. Nothing is started or pushed.
///
/// # Errors
/// The registry does not answer, or there are no credentials where the configuration says.
pub async fn find(environment: &Environment, built: &Built) -> Result<Option<Reference>> {
    let (client, repository) = match &environment.registry {
        config::Registry::None => {
            let unpushed = Unpushed { repository: built.repository.clone(), id: built.id.clone() };
            return Ok(Some(Reference::Unpushed(unpushed)));
        }
        config::Registry::Local => {
            let running = cluster::local::find(&environment.root)?;
            let Some(address) = running.and_then(|running| running.registry.parse().ok()) else { return Ok(None) };
            (client::Client::local(address), local::repository(address, &built.repository)?)
        }
        config::Registry::Generic(generic) => {
            let login = credentials::find(generic, &generic.credentials).await?;
            (client::Client::pushing(generic, login)?, generic.repository(built.repository.path())?)
        }
        config::Registry::Ecr(settings) => {
            let ecr = ecr::choose(environment, settings).await?;
            let repository = ecr.generic.repository(built.repository.path())?;
            let client = client::Client::pushing(&ecr.generic, ecr.login.clone())?;
            let found = push::existing(&client, &repository, built).await?;
            let named = |(image, _): (Pinned, usize)| {
                let repository = ecr.named(image.repository)?;
                Ok(Pinned { repository, ..image }.into())
            };
            return found.map(named).transpose();
        }
    };
    push::existing(&client, &repository, built).await.map(|found| found.map(|(image, _)| image.into()))
}

/// Makes the registry have the image, or the nodes where there is none.
///
/// # Errors
/// What Docker or the registry says.
pub async fn push(docker: &Docker, registry: &Registry, built: &Built, step: &Step) -> Result<Pushed> {
    match registry {
        Registry::None => {
            let (unpushed, named) = image::keep(docker, built).await?;
            let (sent, existing) = if named { (1, 0) } else { (0, 1) };
            Ok(Pushed { image: Reference::Unpushed(unpushed), sent, existing })
        }
        Registry::Local(address) => {
            let repository = local::repository(*address, &built.repository)?;
            let client = client::Client::local(*address);
            push::push(docker, &push::Target { client, repository, credentials: None }, built, step).await
        }
        Registry::Generic(generic, login) => {
            let repository = generic.repository(built.repository.path())?;
            let client = client::Client::pushing(generic, login.clone())?;
            let credentials = push::credentials(generic, login)?;
            push::push(docker, &push::Target { client, repository, credentials }, built, step).await
        }
        Registry::Ecr(ecr) => {
            Box::pin(ecr.ensure(built.repository.path(), step)).await?;
            let repository = ecr.generic.repository(built.repository.path())?;
            let client = client::Client::pushing(&ecr.generic, ecr.login.clone())?;
            let credentials = push::credentials(&ecr.generic, &ecr.login)?;
            let target = push::Target { client, repository, credentials };
            let pushed = push::push(docker, &target, built, step).await?;
            let image = match pushed.image {
                Reference::Pinned(Pinned { repository, digest }) => {
                    Pinned { repository: ecr.named(repository)?, digest }.into()
                }
                unpushed => unpushed,
            };
            Ok(Pushed { image, ..pushed })
        }
    }
}

/// The image of a service in the registry of another environment, brought there if it is not; and how much was sent.
///
/// # Errors
/// A registry does not have it, does not take it, or is none.
pub async fn promote(from: Unit<'_>, image: &Pinned, to: Unit<'_>, step: &Step) -> Result<(Pinned, usize)> {
    let service = &to.service.name;
    let (source, target) = (choose(from.environment, step).await?, choose(to.environment, step).await?);
    if let Registry::Ecr(ecr) = &target {
        Box::pin(ecr.ensure(service, step)).await?;
    }
    let ((source, _), (target, name)) = (side(source, service)?, side(target, service)?);
    if source.repository == target.repository {
        return Ok((image.clone(), 0));
    }
    let sent = copy::copy(&source, &image.digest, &target, step).await?;
    Ok((Pinned { repository: name, digest: image.digest.clone() }, sent))
}

/// The service's repository in a registry, and what nodes call it.
fn side(registry: Registry, service: &str) -> Result<(copy::Side, Repository)> {
    let (client, repository) = match &registry {
        Registry::None => {
            return Err(Error::usage(format!("promote {service}: one of the environments has no registry")));
        }
        Registry::Local(address) => (client::Client::local(*address), local::repository(*address, &service.parse()?)?),
        Registry::Generic(generic, login) => {
            (client::Client::pushing(generic, login.clone())?, generic.repository(service)?)
        }
        Registry::Ecr(ecr) => {
            (client::Client::pushing(&ecr.generic, ecr.login.clone())?, ecr.generic.repository(service)?)
        }
    };
    let name = match registry {
        Registry::Ecr(ecr) => ecr.named(repository.clone())?,
        _ => repository.clone(),
    };
    Ok((copy::Side { client: client.patient(), repository }, name))
}

/// Keeps the images that a service's releases run from expiring, where the registry lets images expire.
///
/// # Errors
/// What the registry says.
pub async fn keep(unit: Unit<'_>, images: &BTreeSet<Digest>) -> Result<()> {
    match &unit.environment.registry {
        config::Registry::Ecr(settings) => {
            let registry = Box::pin(ecr::choose(unit.environment, settings)).await?;
            Box::pin(registry.keep(&unit.service.name, images)).await
        }
        config::Registry::None | config::Registry::Local | config::Registry::Generic(_) => Ok(()),
    }
}
