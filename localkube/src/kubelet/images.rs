//! Images by tag or digest: whether the engine has them, and pulling.

use bollard::{Docker, auth::DockerCredentials, errors::Error, query_parameters::CreateImageOptions};
use futures::StreamExt;

use super::unavailable;

/// An image that the engine has.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    /// `sha256:…`, the configuration's digest.
    pub(super) id: String,
    /// By which a registry knows it, when it came from one or went to one: `repository@sha256:…`.
    pub(super) repository_digest: Option<String>,
    /// The user it runs as unless told otherwise; empty is root.
    pub(super) user: String,
    /// Bytes.
    pub(super) size: i64,
}

impl Image {
    /// What `status.containerStatuses[].imageID` shows.
    pub(super) fn reference(&self) -> String {
        self.repository_digest.clone().map_or_else(|| self.id.clone(), |digest| format!("docker-pullable://{digest}"))
    }
}

/// The image, if the engine has it.
///
/// # Errors
/// When the engine doesn't answer.
pub(super) async fn find(docker: &Docker, name: &str) -> Result<Option<Image>, Error> {
    match docker.inspect_image(name).await {
        Ok(found) => {
            let repository = repository(name);
            let digests = found.repo_digests.unwrap_or_default();
            Ok(Some(Image {
                id: found.id.unwrap_or_default(),
                repository_digest: digests
                    .iter()
                    .find(|digest| digest.split('@').next() == Some(repository))
                    .or(digests.first())
                    .cloned(),
                user: found.config.and_then(|config| config.user).unwrap_or_default(),
                size: found.size.unwrap_or_default(),
            }))
        }
        Err(error) if unavailable(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Pulls the image, with each of the credentials until one is taken; without any as nobody in particular.
///
/// # Errors
/// What the engine says, in its words, about the last of them.
pub(super) async fn pull(docker: &Docker, name: &str, credentials: Vec<DockerCredentials>) -> Result<Image, String> {
    let mut refused = None;
    for credentials in credentials {
        match pull_with(docker, name, Some(credentials)).await {
            Ok(image) => return Ok(image),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => Err(error),
        None => pull_with(docker, name, None).await,
    }
}

async fn pull_with(docker: &Docker, name: &str, credentials: Option<DockerCredentials>) -> Result<Image, String> {
    let mut from = name.to_owned();
    if !tagged(name) {
        from.push_str(":latest");
    }
    let options = CreateImageOptions { from_image: Some(from), ..Default::default() };
    let mut progress = Box::pin(docker.create_image(Some(options), None, credentials));
    while let Some(step) = progress.next().await {
        step.map_err(|error| words(&error))?;
    }
    match find(docker, name).await {
        Ok(Some(image)) => Ok(image),
        Ok(None) => Err(format!("image {name} is not there after it was pulled")),
        Err(error) => Err(words(&error)),
    }
}

/// An engine's error without the client's frame around it.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => format!("Error response from daemon: {message}"),
        Error::DockerStreamError { error } => format!("Error response from daemon: {error}"),
        other => other.to_string(),
    }
}

/// The part of a reference before tag and digest.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    name[slash..].find(':').map_or(name, |colon| &name[..slash + colon])
}

fn tagged(name: &str) -> bool {
    name.contains('@') || repository(name).len() < name.len()
}

/// Whether it is a reference by the grammar of <https://github.com/distribution/reference>.
pub(super) fn valid(name: &str) -> bool {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    if let Some(digest) = digest {
        let Some((algorithm, hash)) = digest.split_once(':') else { return false };
        let hexadecimal = hash.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        if algorithm.is_empty() || hash.len() < 32 || !hexadecimal {
            return false;
        }
    }
    let path = repository(rest);
    if let Some(tag) = rest[path.len()..].strip_prefix(':') {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = tag.bytes().next().is_some_and(word);
        if !first || tag.len() > 128 || !tag.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
            return false;
        }
    }
    let (host, components) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, path),
    };
    let host_ok = host.is_none_or(|host| {
        let (host, port) = host.split_once(':').unwrap_or((host, "0"));
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        host.split('.').all(label) && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    });
    host_ok && path.len() <= 255 && components.split('/').all(component)
}

/// Lower-case words joined by one dot, one or two underscores, or dashes.
fn component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = text.bytes().next().is_some_and(alphanumeric) && text.bytes().next_back().is_some_and(alphanumeric);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    edges && separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_references_apart() {
        assert_eq!(repository("127.0.0.1:5000/app@sha256:00"), "127.0.0.1:5000/app");
        assert_eq!(repository("127.0.0.1:5000/app:v1"), "127.0.0.1:5000/app");
        assert_eq!(repository("busybox"), "busybox");
        assert!(!tagged("127.0.0.1:5000/app"));
        assert!(tagged("busybox:1"));
    }

    #[test]
    fn knows_a_reference_from_other_text() {
        for good in [
            "busybox",
            "docker.io/library/busybox:1.38",
            "127.0.0.1:5000/a/b_c/d--e:v1.2-x",
            "app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "localhost:5000/x",
        ] {
            assert!(valid(good), "{good}");
        }
        for bad in ["", "App", "a//b", "a:", "-a", "a/", "a@sha256:1", "a b", "x:bad/tag:y z", "a...b", "UPPER/case"] {
            assert!(!valid(bad), "{bad}");
        }
    }
}
