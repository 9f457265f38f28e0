//! Where images are pushed and where services run: `registry` and `cluster`.

use std::path::Path;

use super::{
    Cluster, Credentials, Generic, Kubeconfig, PullSecret, Registry, SERVICE,
    aws::{self, Aws},
    environment::{label, path},
    fields::{Field, Section, Variant},
};
use crate::image::reference::Repository;

pub(super) fn registry(aws: Option<&Aws>, field: Field<'_>, several: bool) -> Registry {
    match field.variant(&[("local", Registry::Local), ("none", Registry::None)], &["generic", "ecr"]) {
        Some(Variant::Word(registry)) => registry,
        Some(Variant::Tag("generic", keys)) => generic(keys, several),
        Some(Variant::Tag("ecr", keys)) => Registry::Ecr(aws::ecr(aws, keys, several)),
        Some(Variant::Tag(..)) | None => Registry::Local,
    }
}

fn generic(mut keys: Section<'_>, several: bool) -> Registry {
    let host = keys.field("host").required("which registry? for example ghcr.io");
    let named = host.checked(|host| match format!("{host}/app").parse::<Repository>() {
        Ok(repository) if repository.host() == Some(host) => Ok(()),
        _ => Err(format!("`{host}` is not the host[:port] of a registry, such as ghcr.io or localhost:5000")),
    });
    let field = keys.field("repository");
    let repository = field.checked(|repository| match repository.replace(SERVICE, "app").parse::<Repository>() {
        Ok(_) if several && !repository.contains(SERVICE) => {
            Err(format!("several services need repositories of their own: put {SERVICE} into it"))
        }
        Ok(parsed) if parsed.host().is_none() => Ok(()),
        _ => Err(format!("`{repository}` is not a repository: lower-case words separated by /, and {SERVICE}")),
    });
    let credentials = credentials(keys.field("credentials")).unwrap_or(Credentials::Docker);
    let insecure = keys.field("insecure").choice(&[("true", true), ("false", false)]);
    let pull_secret = match keys.field("pull_secret").checked(|name| label(name, true)).as_deref() {
        None => PullSecret::WhenRefused,
        Some("none") => PullSecret::Never,
        Some(name) => PullSecret::Named(name.to_owned()),
    };
    let pull_credentials = self::credentials(keys.field("pull_credentials"));
    keys.end();
    Registry::Generic(Generic {
        host: named.unwrap_or_default(),
        repository: repository.unwrap_or_else(|| SERVICE.into()),
        credentials,
        insecure,
        pull_secret,
        pull_credentials,
    })
}

fn credentials(field: Field<'_>) -> Option<Credentials> {
    if !field.is_mapping() {
        return field.choice(&[("docker", Credentials::Docker), ("anonymous", Credentials::Anonymous)]);
    }
    let mut keys = field.section();
    let mut name = |key| {
        let missed = format!("the name of the environment variable that holds the {key} was expected");
        keys.field(key).required(&missed).checked(variable).unwrap_or_default()
    };
    let (username, password) = (name("username"), name("password"));
    keys.end();
    Some(Credentials::Variables { username, password })
}

/// What is no name may be the credential itself, so it is not repeated.
fn variable(name: &str) -> Result<(), String> {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if !name.is_empty() && name.chars().all(word) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    Err("the name of an environment variable was expected, never its value".into())
}

pub(super) fn cluster(root: &Path, aws: Option<&Aws>, field: Field<'_>) -> Cluster {
    match field.variant(&[("local", Cluster::Local)], &["kubeconfig", "eks"]) {
        Some(Variant::Word(cluster)) => cluster,
        Some(Variant::Tag("kubeconfig", keys)) => kubeconfig(root, keys),
        Some(Variant::Tag("eks", keys)) => Cluster::Eks(Box::new(aws::eks(aws, keys))),
        Some(Variant::Tag(..)) | None => Cluster::Local,
    }
}

fn kubeconfig(root: &Path, mut keys: Section<'_>) -> Cluster {
    let missed = "which context of the kubeconfig? the current one is never used: `kubectl config get-contexts`";
    let context = keys.field("context").required(missed);
    let name = context.checked(|name| if name.is_empty() { Err("a name was expected".into()) } else { Ok(()) });
    let file = path(root, &keys.field("file"));
    keys.end();
    Cluster::Kubeconfig(Kubeconfig { context: name.unwrap_or_default(), file })
}
