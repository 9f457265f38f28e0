//! The push itself, which is Docker's; errors come in its stream.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::{
    Docker,
    auth::DockerCredentials,
    query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    Pushed,
    client::{Answer, Client},
    credentials::Login,
    docker_config,
};
use crate::{
    config::Generic,
    error::{Error, Result},
    image::{
        Built,
        reference::{Digest, Pinned, Repository},
    },
    ui::Step,
};

/// Where an image goes.
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) repository: Repository,
    /// What Docker shows there; never printed.
    pub(super) credentials: Option<DockerCredentials>,
}

/// What Docker shows to the registry.
///
/// # Errors
/// Docker would not understand them.
pub(super) fn credentials(generic: &Generic, login: &Login) -> Result<Option<DockerCredentials>> {
    let serveraddress = Some(docker_config::server(&generic.host).to_owned());
    let credentials = match login {
        Login::Anonymous => return Ok(None),
        Login::Basic { username, password } => DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.reveal().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
        Login::Identity(token) => DockerCredentials {
            identitytoken: Some(token.reveal().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
    };
    // bollard writes the header in base64's usual alphabet, Docker reads it in that of URLs.
    let header = serde_json::to_vec(&credentials).map(|text| STANDARD.encode(text)).unwrap_or_default();
    if header.contains(['+', '/']) {
        return Err(Error::failed(format!("show the credentials for {} to Docker", generic.host))
            .cause("they hold `>`, `?`, `~` or a letter beyond ASCII at a place that Docker would misread")
            .hint("use an access token of letters and digits, or a password without these"));
    }
    Ok(Some(credentials))
}

/// The image and the number of its layers, if the registry has it under its tag.
///
/// # Errors
/// The registry does not answer.
pub(super) async fn existing(
    client: &Client,
    repository: &Repository,
    built: &Built,
) -> Result<Option<(Pinned, usize)>> {
    let found = match client.manifest(repository, built.tag.as_str()).await? {
        Answer::Found(manifest) => Some(manifest),
        // A repository that is yet to be made may be refused to whoever may make it: the push will tell.
        Answer::Absent | Answer::Refused(_) => None,
    };
    let found = found.filter(|manifest| built.id.is(&manifest.digest, manifest.config.as_ref()));
    Ok(found.map(|found| (Pinned { repository: repository.clone(), digest: found.digest }, found.layers)))
}

/// Pushes, unless the registry has the image.
///
/// # Errors
/// What Docker or the registry says.
pub(super) async fn push(docker: &Docker, to: &Target, built: &Built, step: &Step) -> Result<Pushed> {
    let repository = to.repository.clone();
    let target = format!("{repository}:{}", built.tag);
    let failed = || Error::failed(format!("push {target}"));
    step.update(format!("asking for {target}"));
    if let Some((image, layers)) = existing(&to.client, &repository, built).await? {
        return Ok(Pushed { image: image.into(), sent: 0, existing: layers });
    }

    let options = TagImageOptionsBuilder::new().repo(&repository.to_string()).tag(built.tag.as_str()).build();
    docker.tag_image(&built.name(), Some(options)).await.map_err(|error| failed().source(&error))?;
    let pushed = send(docker, to, built, step).await;
    // The name that the push needed would only litter the list of images.
    let untag = RemoveImageOptionsBuilder::new().noprune(true).build();
    let untagged = docker.remove_image(&target, Some(untag), None).await;
    let progress = pushed?;
    untagged.map_err(|error| Error::failed(format!("remove the name {target}")).source(&error))?;

    // What Docker says it pushed, as the registry has it.
    let manifest = match to.client.manifest(&repository, built.tag.as_str()).await? {
        Answer::Found(manifest) => manifest,
        Answer::Absent => return Err(failed().cause("the registry does not have it after the push")),
        Answer::Refused(error) => return Err(error),
    };
    if let Some(digest) = progress.digest.filter(|digest| *digest != manifest.digest) {
        let cause = format!("Docker pushed {digest}, the registry has {}", manifest.digest);
        return Err(failed().cause(cause).hint("somebody else pushes the same tag: try again"));
    }
    let image = Pinned { repository, digest: manifest.digest }.into();
    Ok(Pushed { image, sent: progress.sent, existing: progress.existing })
}

#[derive(Debug, Default)]
struct Progress {
    sent: usize,
    existing: usize,
    digest: Option<Digest>,
}

async fn send(docker: &Docker, to: &Target, built: &Built, step: &Step) -> Result<Progress> {
    let repository = &to.repository;
    let failed = || Error::failed(format!("push {repository}:{}", built.tag));
    let options = PushImageOptionsBuilder::new().tag(built.tag.as_str()).build();
    // To its end, and bollard turns the errors in it into errors of it.
    let lines = docker.push_image(&repository.to_string(), Some(options), to.credentials.clone());
    let mut lines = lines.map_err(|error| to.client.refused(failed().source(&error))).boxed();
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
