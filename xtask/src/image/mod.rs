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
pub(crate) mod node;
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
    query_parameters::{ImportImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures::TryStreamExt as _;

use self::{
    archive::Content,
    record::Record,
    reference::{Digest, ImageId, Repository, Tag, Unpushed},
    source::Source,
    toolchain::Toolchain,
};
pub use fingerprint::folders;

use crate::{
    config::{Builder, Unit},
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
    pub id: ImageId,
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

/// Builds the service's image from the tree whose state is `source`, unless the Engine has one from the same input.
///
/// # Errors
/// Whatever keeps an image from being there in the end; what the compiler said is part of it.
pub async fn build(docker: &Docker, unit: Unit<'_>, source: &Source, step: &Step) -> Result<Built> {
    let (root, image) = (&unit.environment.root, &unit.service.image);
    let repository: Repository = unit.service.name.parse()?;
    step.update("looking for changes");
    let toolchain = match image.builder {
        Builder::Host => Some(toolchain::inspect(root).await?),
        Builder::Dockerfile { .. } => None,
    };
    let last = record::read(root, &unit.service.name).filter(|last| serves(last, &repository, source));
    // Before the build: what changes during it is not in it for certain.
    if let Some(last) = &last
        && fingerprint(unit, last.folders.clone(), toolchain.clone()).await.as_ref() == Some(&last.fingerprint)
        && let Some(built) = reuse(docker, last, &repository).await
    {
        return Ok(built);
    }
    let folders = match image.builder {
        Builder::Host => folders(root, &image.package).await?,
        Builder::Dockerfile { .. } => Vec::new(),
    };
    let fingerprint = fingerprint(unit, folders.clone(), toolchain.clone()).await.unwrap_or_default();
    let tag = source.tag();
    let name = format!("{repository}:{tag}");
    let (mut size, mut binary_hash) = (None, None);
    match (&image.builder, &toolchain) {
        (Builder::Host, Some(toolchain)) => {
            let binary = host::compile(root, image, toolchain, step).await?;
            let hash = Digest::of(&binary.bytes).to_string();
            if let Some(last) = last.filter(|last| last.binary.as_ref() == Some(&hash))
                && let Some(built) = reuse(docker, &last, &repository).await
            {
                // The sources have changed, the program has not: a comment, a test, another package's dependency.
                record::write(root, &unit.service.name, &Record { fingerprint, folders, ..last })?;
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
        (Builder::Dockerfile { file }, _) => dockerfile::build(unit, file, &name, &tag, source, step).await?,
        (Builder::Host, None) => unreachable!("the toolchain was asked for above"),
    }
    let (id, engine_size) = find(docker, &name).await?;
    let size = size.unwrap_or(engine_size);
    let mut made = BTreeMap::new();
    if let Some(last) = record::read(root, &unit.service.name) {
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
    record::write(root, &unit.service.name, &record)?;
    Ok(Built { repository, tag, id, size, changed: true })
}

/// The image that a build would leave as it is, as far as the record of the last build tells: Docker is not asked.
pub async fn unchanged(unit: Unit<'_>, source: &Source) -> Option<Built> {
    let (root, image) = (&unit.environment.root, &unit.service.image);
    let repository: Repository = unit.service.name.parse().ok()?;
    let last = record::read(root, &unit.service.name).filter(|last| serves(last, &repository, source))?;
    let toolchain = match image.builder {
        Builder::Host => Some(toolchain::inspect(root).await.ok()?),
        Builder::Dockerfile { .. } => None,
    };
    let now = fingerprint(unit, last.folders.clone(), toolchain).await;
    let (tag, id) = (last.tag.parse().ok()?, last.id.parse().ok()?);
    (now? == last.fingerprint).then_some(Built { repository, tag, id, size: last.size, changed: false })
}

/// Whether an earlier image may stand for this source. One of uncommitted changes does not stand for a commit.
fn serves(last: &Record, repository: &Repository, source: &Source) -> bool {
    last.name == format!("{repository}:{}", last.tag) && (last.clean || !source.is_clean())
}

async fn fingerprint(unit: Unit<'_>, folders: Vec<PathBuf>, toolchain: Option<Toolchain>) -> Option<String> {
    let (root, image) = (unit.environment.root.clone(), unit.service.image.clone());
    let compute = move || fingerprint::compute(&root, &image, &folders, toolchain.as_ref()).ok();
    tokio::task::spawn_blocking(compute).await.ok().flatten()
}

/// The earlier image, if the Engine still has it by that name.
async fn reuse(docker: &Docker, last: &Record, repository: &Repository) -> Option<Built> {
    let (id, _) = find(docker, &last.name).await.ok().filter(|(id, _)| id.as_str() == last.id)?;
    let tag = last.tag.parse().ok()?;
    Some(Built { repository: repository.clone(), tag, id, size: last.size, changed: false })
}

async fn find(docker: &Docker, name: &str) -> Result<(ImageId, u64)> {
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
            let kept = kept_as(&name, &id);
            removed += usize::from(forget(docker, &name, &id).await);
            if let Some(kept) = kept {
                forget(docker, &kept, &id).await;
            }
        }
    }
    removed
}

/// The name that [`keep`] may have given to the image of this name.
fn kept_as(name: &str, id: &str) -> Option<String> {
    let repository = name.rsplit_once(':')?.0.parse().ok()?;
    Some(Unpushed { repository, id: id.parse().ok()? }.to_string())
}

/// Gives the image the name by which nodes find it where no registry is; says whether it did not have it.
///
/// # Errors
/// What Docker says.
pub async fn keep(docker: &Docker, built: &Built) -> Result<(Unpushed, bool)> {
    let unpushed = Unpushed { repository: built.repository.clone(), id: built.id.clone() };
    let name = unpushed.to_string();
    if find(docker, &name).await.is_ok_and(|(id, _)| id == built.id) {
        return Ok((unpushed, false));
    }
    let options = TagImageOptionsBuilder::new().repo(&built.repository.to_string()).tag(&unpushed.tag()).build();
    let tagged = docker.tag_image(&built.name(), Some(options)).await;
    tagged.map_err(|error| Error::failed(format!("name the image {name}")).source(&error))?;
    Ok((unpushed, true))
}

/// Takes the name from an image if it still is the one that was made; without another name the image goes with it.
async fn forget(docker: &Docker, name: &str, id: &str) -> bool {
    if find(docker, name).await.is_ok_and(|(found, _)| found.as_str() != id) {
        return false;
    }
    let options = RemoveImageOptionsBuilder::new().build();
    docker.remove_image(name, Some(options), None).await.is_ok()
}
