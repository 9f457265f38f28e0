//! Images that no registry has, and what a manifest names in either case.

use std::{fmt, str::FromStr};

use super::{Digest, Pinned, Repository};
use crate::error::{Error, Result};

/// The Engine's id of an image. The same digits may be the digest of nothing that a registry has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageId(Digest);

impl ImageId {
    /// The text, with its algorithm.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a manifest with this digest, and of this configuration, is the image: Docker's classic store names an
    /// image by its configuration, its containerd store by its manifest.
    pub fn is(&self, manifest: &Digest, config: Option<&Digest>) -> bool {
        config == Some(&self.0) || *manifest == self.0
    }
}

impl FromStr for ImageId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An image that no registry has: nodes find it where it was built, by a tag that says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unpushed {
    /// Its name, without a registry.
    pub repository: Repository,
    /// What it is.
    pub id: ImageId,
}

impl Unpushed {
    const MARK: &str = "id-";

    /// The tag: `id-` and the hexadecimal digits of the id.
    pub fn tag(&self) -> String {
        format!("{}{}", Self::MARK, self.id.0.hex())
    }
}

impl fmt::Display for Unpushed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.repository, self.tag())
    }
}

/// What a manifest names: an image that stays what it is, in a registry or on the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// In a registry, by the digest of its manifest.
    Pinned(Pinned),
    /// On the nodes alone, by the Engine's id.
    Unpushed(Unpushed),
}

impl Reference {
    /// As people tell images apart: the algorithm and six digits.
    pub fn short(&self) -> String {
        match self {
            Self::Pinned(pinned) => pinned.digest.short(),
            Self::Unpushed(unpushed) => unpushed.id.0.short(),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unpushed = text.rsplit_once(':').and_then(|(repository, tag)| {
            let id = format!("sha256:{}", tag.strip_prefix(Unpushed::MARK)?).parse().ok()?;
            Some(Unpushed { repository: repository.parse().ok()?, id })
        });
        unpushed.map_or_else(|| text.parse().map(Self::Pinned), |unpushed| Ok(Self::Unpushed(unpushed)))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pinned) => pinned.fmt(formatter),
            Self::Unpushed(unpushed) => unpushed.fmt(formatter),
        }
    }
}

impl From<Pinned> for Reference {
    fn from(pinned: Pinned) -> Self {
        Self::Pinned(pinned)
    }
}
