//! Pushing the image; after it, only its digest travels.
//!
//! The providers are a closed set, chosen in [`choose`]: `local` is the registry of the local environment.

mod client;
mod local;

use std::{collections::BTreeMap, net::SocketAddr};

use bollard::{
    Docker,
    query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    cluster,
    config::{self, Environment},
    error::{Error, Result},
    image::{
        Built,
        reference::{Digest, Pinned, Repository},
    },
    ui::Step,
};

/// Where images are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    /// The local environment's, at this address.
    Local(SocketAddr),
}

/// The environment's registry, started first when it is one that a deploy starts.
///
/// # Errors
/// When it cannot be started.
pub async fn choose(environment: &Environment, step: &Step) -> Result<Registry> {
    match environment.registry {
        config::Registry::Local => {
            let (running, _) = cluster::local::ensure(&environment.root, step).await?;
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
    pub image: Pinned,
    /// Layers that were sent.
    pub sent: usize,
    /// Layers that were there already.
    pub existing: usize,
}

impl Registry {
    fn repository(&self, image: &Repository) -> Result<Repository> {
        match self {
            Self::Local(address) => local::repository(*address, image),
        }
    }
}

/// Makes the registry have the image.
///
/// # Errors
/// What Docker or the registry says.
pub async fn push(docker: &Docker, registry: &Registry, built: &Built, step: &Step) -> Result<Pushed> {
    let repository = registry.repository(&built.repository)?;
    let target = format!("{repository}:{}", built.tag);
    let failed = || Error::failed(format!("push {target}"));
    step.update(format!("asking for {target}"));
    // Docker's classic store names an image by its configuration, its containerd store by its manifest.
    let client = client::Client::new(registry);
    if let Some(manifest) = client.manifest(&repository, built.tag.as_str()).await?
        && (manifest.config.as_ref() == Some(&built.id) || manifest.digest == built.id)
    {
        let image = Pinned { repository, digest: manifest.digest };
        return Ok(Pushed { image, sent: 0, existing: manifest.layers });
    }

    let options = TagImageOptionsBuilder::new().repo(&repository.to_string()).tag(built.tag.as_str()).build();
    docker.tag_image(&built.name(), Some(options)).await.map_err(|error| failed().source(&error))?;
    let pushed = send(docker, &repository, built, step).await;
    // The name that the push needed would only litter the list of images.
    let untag = RemoveImageOptionsBuilder::new().noprune(true).build();
    let untagged = docker.remove_image(&target, Some(untag), None).await;
    let progress = pushed?;
    untagged.map_err(|error| Error::failed(format!("remove the name {target}")).source(&error))?;

    // What Docker says it pushed, as the registry has it.
    let manifest = client.manifest(&repository, built.tag.as_str()).await?;
    let manifest = manifest.ok_or_else(|| failed().cause("the registry does not have it after the push"))?;
    if let Some(digest) = progress.digest.filter(|digest| *digest != manifest.digest) {
        let cause = format!("Docker pushed {digest}, the registry has {}", manifest.digest);
        return Err(failed().cause(cause).hint("somebody else pushes the same tag: try again"));
    }
    let image = Pinned { repository, digest: manifest.digest };
    Ok(Pushed { image, sent: progress.sent, existing: progress.existing })
}

#[derive(Debug, Default)]
struct Progress {
    sent: usize,
    existing: usize,
    digest: Option<Digest>,
}

async fn send(docker: &Docker, repository: &Repository, built: &Built, step: &Step) -> Result<Progress> {
    let failed = || Error::failed(format!("push {repository}:{}", built.tag));
    let options = PushImageOptionsBuilder::new().tag(built.tag.as_str()).build();
    // To its end, and bollard turns the errors in it into errors of it.
    let lines = docker.push_image(&repository.to_string(), Some(options), None);
    let mut lines = lines.map_err(|error| failed().source(&error)).boxed();
    let (mut progress, mut bytes) = (Progress::default(), BTreeMap::new());
    while let Some(line) = lines.next().await {
        let line = line?;
        let status = line.status.unwrap_or_default();
        match status.as_str() {
            "Pushed" => progress.sent += 1,
            "Layer already exists" => progress.existing += 1,
            mounted if mounted.starts_with("Mounted from ") => progress.existing += 1,
            "Pushing" => {
                if let Some(detail) = line.progress_detail {
                    // Layers can't be told apart by this type; one total stands for one layer.
                    bytes.insert(detail.total.unwrap_or(0), detail.current.unwrap_or(0));
                    let (sum, total) = bytes.iter().fold((0, 0), |(sum, all), (total, now)| (sum + now, all + total));
                    step.update(format!("sent {:.1} of {:.1} MB", megabytes(sum), megabytes(total)));
                }
            }
            _ => {}
        }
        // `TAG: digest: sha256:HEX size: N` ends a push.
        if let Some((_, rest)) = status.split_once(": digest: ") {
            progress.digest = rest.split(' ').next().and_then(|digest| digest.parse().ok());
        }
    }
    Ok(progress)
}

fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / 1e6
}
