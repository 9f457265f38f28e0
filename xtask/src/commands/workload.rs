//! The service's objects in a cluster, as commands that only look at them need them.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, Client, api::ListParams};

use crate::{
    cluster,
    config::{Environment, Unit},
    error::{Error, Result},
    image::reference::Reference,
};

/// A client for the environment's cluster, which must be there.
pub(super) async fn client(environment: &Environment) -> Result<Client> {
    match cluster::find(environment).await? {
        Some(connection) => Ok(connection.client),
        None => {
            Err(Error::failed(format!("the cluster of {} does not run", environment.name)).hint(deploy(environment)))
        }
    }
}

/// The service's Deployment, which must be there.
pub(super) async fn deployment(client: &Client, unit: Unit<'_>) -> Result<Deployment> {
    let service = unit.service;
    let found = Api::<Deployment>::namespaced(client.clone(), &service.namespace)
        .get_opt(&service.name)
        .await
        .map_err(|error| Error::failed(format!("get {}", named(unit))).source(&error))?;
    found.ok_or_else(|| Error::failed(format!("there is no {}", named(unit))).hint(deploy(unit.environment)))
}

/// The image that the service's Deployment runs, if it is there; one that somebody set without a digest is not ours.
pub(super) async fn image(client: &Client, unit: Unit<'_>) -> Result<Option<Reference>> {
    let service = unit.service;
    let found = Api::<Deployment>::namespaced(client.clone(), &service.namespace)
        .get_opt(&service.name)
        .await
        .map_err(|error| Error::failed(format!("get {}", named(unit))).source(&error))?;
    let containers = found.and_then(|found| Some(found.spec?.template.spec?.containers)).unwrap_or_default();
    let container = containers.into_iter().find(|container| container.name == service.name);
    Ok(container.and_then(|container| container.image).and_then(|image| image.parse().ok()))
}

/// The pods that the Deployment selects, by name.
pub(super) async fn pods(api: &Api<Pod>, deployment: &Deployment) -> Result<Vec<Pod>> {
    let labels = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    let selector: Vec<_> = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    let list = api
        .list(&ListParams::default().labels(&selector.join(",")))
        .await
        .map_err(|error| Error::failed("list the service's pods").source(&error))?;
    Ok(list.items)
}

fn named(unit: Unit<'_>) -> String {
    format!("Deployment {}/{}", unit.service.namespace, unit.service.name)
}

fn deploy(environment: &Environment) -> String {
    format!("cargo xtask deploy --env {}", environment.name)
}
