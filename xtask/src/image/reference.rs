//! Names of images, parsed at the door. A tag can move, a digest can't: what is deployed is [`Pinned`], and nothing
//! makes one from a [`Tag`]. [`Unpushed`] is what stands for it where there is no registry.
//!
//! The grammar is that of the OCI distribution-spec 1.1, "Pulling manifests", and of Docker's reference package.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

mod unpushed;

pub use unpushed::{ImageId, Reference, Unpushed};

/// The digest of a manifest or of another content: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes))))
    }

    /// The text, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hexadecimal digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// As people tell digests apart: the algorithm and six digits.
    pub fn short(&self) -> String {
        format!("sha256:{}..", &self.hex()[..6])
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
        let valid = hex.is_some_and(|hex| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        if !valid {
            let rule = "a digest is sha256: and 64 lower-case hexadecimal digits";
            return Err(Error::usage(format!("invalid digest {text:?}")).cause(rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name of a version: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= 128
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
        if !valid {
            let rule = "a tag has 1 to 128 letters, digits, `_`, `.` and `-`, the first not `.` or `-`";
            return Err(Error::usage(format!("invalid tag {text:?}")).cause(rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where an image lives: an optional `host[:port]/` and a path of lower-case components.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    host: Option<String>,
    path: String,
}

impl Repository {
    /// The registry, if it is named.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Docker's rule: the first part is a host if it could not be a component of a path.
        let (host, path) = match text.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, text),
        };
        let host_is_valid = host.is_none_or(is_host);
        if !host_is_valid || path.len() > 255 || !path.split('/').all(is_component) {
            let rule = "a repository is an optional host[:port]/ and lower-case letters and digits, \
                        separated by `.`, `_`, `__`, `-` and `/`";
            return Err(Error::usage(format!("invalid image repository {text:?}")).cause(rule));
        }
        Ok(Self { host: host.map(str::to_owned), path: path.to_owned() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(formatter, "{host}/{}", self.path),
            None => formatter.write_str(&self.path),
        }
    }
}

/// An image that stays what it is: a repository and the digest of a manifest in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pinned {
    /// Where it lives.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

impl FromStr for Pinned {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((repository, digest)) = text.split_once('@') else {
            return Err(Error::usage(format!("invalid image reference {text:?}")).cause(
                "it has no digest; an image is named REPOSITORY@sha256:DIGEST, as `cargo xtask push` prints it",
            ));
        };
        Ok(Self { repository: repository.parse()?, digest: digest.parse()? })
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.repository, self.digest)
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = text.split(word).filter(|run| !run.is_empty());
    text.starts_with(word)
        && text.ends_with(word)
        && separators.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}
