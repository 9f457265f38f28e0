//! From the source tree to an image: the tag, what it is made from, and the build through the Docker Engine API.
//!
//! `source` names the version, `fingerprint` tells whether there is anything to do, `host` or `dockerfile`
//! builds, `reference` holds the names that the other stages use.

mod archive;
mod dockerfile;
pub mod engine;
mod fingerprint;
mod host;
mod ignore;
mod log;
mod record;
pub mod reference;
pub mod source;
#[cfg(test)]
mod tests;
mod toolchain;
mod trace;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bollard::{
    Docker, body_full,
    query_parameters::{ImportImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures::TryStreamExt as _;

use self::{
    archive::Content,
    record::Record,
    reference::{Digest, Repository, Tag},
    source::Source,
    toolchain::Toolchain,
};
use crate::{
    config::{Builder, Environment},
    error::{Error, Result},
    ui::Step,
};

/// An image that the Engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its name on this machine, without a registry.
    pub repository: Repository,
    /// Its version.
    pub tag: Tag,
    /// The Engine's id of it.
    pub id: Digest,
    /// The size of its layers, in bytes, uncompressed.
    pub size: u64,
    /// Whether it was made now; otherwise nothing has changed since it was.
    pub changed: bool,
}

impl Built {
    /// `REPOSITORY:TAG`, by which the Engine knows it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// Builds the environment's image from the tree whose state is `source`, unless the Engine has one from the same input.
///
/// # Errors
/// Whatever keeps an image from being there in the end; what the compiler said is part of it.
pub async fn build(docker: &Docker, environment: &Environment, source: &Source, step: &Step) -> Result<Built> {
    let (root, image) = (&environment.root, &environment.image);
    let repository: Repository = environment.service.name.parse()?;
    step.update("looking for changes");
    let toolchain = match image.builder {
        Builder::Host => Some(toolchain::inspect(root).await?),
        Builder::Dockerfile { .. } => None,
    };
    let last = record::read(root, &image.package).filter(|last| serves(last, &repository, source));
    // Before the build: what changes during it is not in it for certain.
    if let Some(last) = &last
        && fingerprint(environment, last.folders.clone(), toolchain.clone()).await.as_ref() == Some(&last.fingerprint)
        && let Some(built) = reuse(docker, last, &repository).await
    {
        return Ok(built);
    }
    let folders = match image.builder {
        Builder::Host => fingerprint::folders(root, &image.package).await?,
        Builder::Dockerfile { .. } => Vec::new(),
    };
    let fingerprint = fingerprint(environment, folders.clone(), toolchain.clone()).await.unwrap_or_default();
    let tag = source.tag();
    let name = format!("{repository}:{tag}");
    let (mut size, mut binary_hash) = (None, None);
    match (&image.builder, &toolchain) {
        (Builder::Host, Some(toolchain)) => {
            let binary = host::compile(root, &image.package, toolchain, step).await?;
            let hash = Digest::of(&binary.bytes).to_string();
            if let Some(last) = last.filter(|last| last.binary.as_ref() == Some(&hash))
                && let Some(built) = reuse(docker, &last, &repository).await
            {
                // The sources have changed, the program has not: a comment, a test, another package's dependency.
                record::write(root, &image.package, &Record { fingerprint, folders, ..last })?;
                return Ok(built);
            }
            step.update("packing the image");
            let content = Content {
                repository: &repository,
                tag: &tag,
                source,
                name: &binary.name,
                binary: &binary.bytes,
                architecture: binary.architecture,
            };
            let packed = archive::pack(&content).map_err(|error| Error::failed("pack the image").source(&error))?;
            (size, binary_hash) = (Some(packed.size), Some(hash));
            load(docker, &name, packed.bytes).await?;
        }
        (Builder::Dockerfile { file }, _) => dockerfile::build(environment, file, &name, &tag, source, step).await?,
        (Builder::Host, None) => unreachable!("the toolchain was asked for above"),
    }
    let (id, engine_size) = find(docker, &name).await?;
    let size = size.unwrap_or(engine_size);
    let mut made = BTreeMap::new();
    if let Some(last) = record::read(root, &image.package) {
        made.clone_from(&last.made);
        // Each edit makes an image of uncommitted changes; a newer one replaces it.
        if !last.clean && last.name != name && forget(docker, &last.name, &last.id).await {
            made.remove(&last.name);
        }
    }
    let (id_text, clean) = (id.to_string(), source.is_clean());
    made.insert(name.clone(), id_text.clone());
    let tag_text = tag.to_string();
    let record =
        Record { fingerprint, folders, name, tag: tag_text, clean, id: id_text, size, binary: binary_hash, made };
    record::write(root, &image.package, &record)?;
    Ok(Built { repository, tag, id, size, changed: true })
}

/// Whether an earlier image may stand for this source. One of uncommitted changes does not stand for a commit.
fn serves(last: &Record, repository: &Repository, source: &Source) -> bool {
    last.name == format!("{repository}:{}", last.tag) && (last.clean || !source.is_clean())
}

async fn fingerprint(environment: &Environment, folders: Vec<PathBuf>, toolchain: Option<Toolchain>) -> Option<String> {
    let (root, image) = (environment.root.clone(), environment.image.clone());
    let compute = move || fingerprint::compute(&root, &image, &folders, toolchain.as_ref()).ok();
    tokio::task::spawn_blocking(compute).await.ok().flatten()
}

/// The earlier image, if the Engine still has it by that name.
async fn reuse(docker: &Docker, last: &Record, repository: &Repository) -> Option<Built> {
    let (id, _) = find(docker, &last.name).await.ok().filter(|(id, _)| id.as_str() == last.id)?;
    let tag = last.tag.parse().ok()?;
    Some(Built { repository: repository.clone(), tag, id, size: last.size, changed: false })
}

async fn find(docker: &Docker, name: &str) -> Result<(Digest, u64)> {
    let failed = || Error::failed(format!("find image {name} in Docker"));
    let image = docker.inspect_image(name).await.map_err(|error| failed().source(&error))?;
    let id = image.id.unwrap_or_default().parse().map_err(|error| failed().source(&error))?;
    Ok((id, image.size.and_then(|size| size.try_into().ok()).unwrap_or(0)))
}

async fn load(docker: &Docker, name: &str, archive: Vec<u8>) -> Result<()> {
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let lines = docker.import_image(options, body_full(archive.into()), None);
    // Errors come in the stream, after a status that says all is well.
    let drained = lines.try_for_each(|_| async { Ok(()) }).await;
    drained.map_err(|error| Error::failed(format!("load image {name} into Docker")).source(&error))
}

/// Removes the images that builds of this repository have made, but for those that a container uses. Says how many.
///
/// They are those that the builds have written down: nothing in an image tells the clone that made it, because its
/// digest is the same in all.
pub async fn remove_all(docker: &Docker, root: &Path) -> usize {
    let mut removed = 0;
    for Record { name, id, made, .. } in record::all(root) {
        for (name, id) in made.into_iter().chain([(name, id)]) {
            removed += usize::from(forget(docker, &name, &id).await);
        }
    }
    removed
}

/// Takes the name from an image if it still is the one that was made; without another name the image goes with it.
async fn forget(docker: &Docker, name: &str, id: &str) -> bool {
    if find(docker, name).await.is_ok_and(|(found, _)| found.as_str() != id) {
        return false;
    }
    let options = RemoveImageOptionsBuilder::new().build();
    docker.remove_image(name, Some(options), None).await.is_ok()
}
