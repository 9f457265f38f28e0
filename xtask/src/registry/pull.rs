//! The Secret that pods pull with, where a registry wants to know who they are.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    client::{Answer, Client},
    credentials::{self, Login},
    docker_config,
};
use crate::{
    config::{Generic, PullSecret, Registry, Unit},
    error::{Error, Result},
    image::reference::{Pinned, Reference},
    manifests::{self, Object},
    secrets,
};

/// The service's manifests with the image, the Secrets whose values AWS keeps, and the pull secret if it needs one.
///
/// # Errors
/// What is wrong in the manifests, or AWS, the registry or its credentials say.
pub async fn render(unit: Unit<'_>, image: Option<&Reference>) -> Result<Vec<Object>> {
    let mut objects = manifests::render(unit, image)?;
    secrets::add(unit, &mut objects).await?;
    if let (Registry::Generic(generic), Some(Reference::Pinned(image))) = (&unit.environment.registry, image)
        && let Some(secret) = secret(unit, generic, image).await?
    {
        manifests::pull_with(&mut objects, image, secret);
    }
    Ok(objects)
}

/// The Secret, if one is to be made.
async fn secret(unit: Unit<'_>, generic: &Generic, image: &Pinned) -> Result<Option<Value>> {
    // One that was given by hand may lie anywhere, and its registry is not ours to ask or to serve.
    if image.repository.host() != Some(&generic.host) {
        return Ok(None);
    }
    let name = match &generic.pull_secret {
        PullSecret::Never => return Ok(None),
        PullSecret::Named(name) => name.clone(),
        PullSecret::WhenRefused => {
            let client = Client::anonymous(generic)?;
            match client.manifest(&image.repository, image.digest.as_str()).await? {
                Answer::Found(_) => return Ok(None),
                // Some don't tell strangers that it is there.
                Answer::Absent | Answer::Refused(_) => format!("{}-registry", unit.service.name),
            }
        }
    };
    let credentials = generic.pull_credentials.as_ref().unwrap_or(&generic.credentials);
    let doing = || Error::failed(format!("make the imagePullSecret {name} for {}", generic.host));
    match credentials::find(generic, credentials).await? {
        Login::Basic { username, password } => {
            let auth = STANDARD.encode(format!("{username}:{}", password.reveal()));
            let entry = json!({"username": username, "password": password.reveal(), "auth": auth});
            let config = json!({"auths": {docker_config::server(&generic.host): entry}}).to_string();
            Ok(Some(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": unit.service.namespace},
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": STANDARD.encode(config)},
            })))
        }
        Login::Identity(_) => Err(doing()
            .cause("the login of this machine is an identity token, with which no kubelet can pull")
            .hint("name variables with a username and a token under registry.generic.pull_credentials")),
        Login::Anonymous => Err(doing().cause("there are no credentials").hint(
            "set registry.generic.pull_credentials, or pull_secret to none where the nodes have credentials of their own",
        )),
    }
}
