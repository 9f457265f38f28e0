//! A Kustomize tree becomes a list of objects, without touching anything.
//!
//! `kubectl kustomize` renders the same objects; a field of kustomize that is not done here is an error that names
//! it. Labels that mark our objects in the cluster are not part of it: [`crate::plan`] adds them.

use std::{cmp::Ordering, path::Path};

use crate::{
    config::Environment,
    error::{Error, Result},
    image::reference::Pinned,
};

mod build;
mod generate;
mod kustomization;
mod merge;
mod object;
mod patch;
mod reader;
mod references;
mod transform;
mod yaml;

pub use object::{Object, ObjectRef};

/// Renders an environment's overlay, in `kubectl kustomize`'s order, with the pushed image in place of its name.
///
/// Without an image the name stays, which is what `kubectl kustomize` prints.
///
/// # Errors
/// What is wrong in the tree, with file, line and column; nothing rendered; the environment's Service, Deployment
/// or image is not in it.
pub fn render(environment: &Environment, image: Option<&Pinned>) -> Result<Vec<Object>> {
    let mut objects = render_directory(&environment.root, &environment.manifests)?;
    check(environment, &objects)?;
    if let Some(image) = image {
        for object in &mut objects {
            transform::visit_images(&mut object.value, &mut |found| {
                if transform::split_image(found).0 == environment.service.name {
                    *found = image.to_string();
                }
            });
        }
    }
    Ok(objects)
}

/// Renders any directory that holds a kustomization, in `kubectl kustomize`'s order.
///
/// # Errors
/// What is wrong in the tree, with file, line and column, the files named from `root`.
pub fn render_directory(root: &Path, directory: &Path) -> Result<Vec<Object>> {
    let mut objects = build::build(root, directory)?;
    objects.sort_by(order);
    Ok(objects)
}

/// The objects as one YAML stream.
///
/// # Errors
/// None that a rendered object can cause.
pub fn to_yaml(objects: &[Object]) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        let document = serde_yaml::to_string(&object.value)
            .map_err(|error| Error::failed(format!("write {} as YAML", object.reference())).source(&error))?;
        text.push_str(&document);
    }
    Ok(text)
}

/// The rendered set holds what the environment ships; a set without it would deploy nothing, successfully.
fn check(environment: &Environment, objects: &[Object]) -> Result<()> {
    let tree = environment.manifests.strip_prefix(&environment.root).unwrap_or(&environment.manifests).display();
    if objects.is_empty() {
        return Err(Error::usage(format!("{tree} renders no objects"))
            .hint(format!("list manifests under `resources` in {tree}/kustomization.yaml")));
    }
    let (name, namespace) = (&environment.service.name, &environment.service.namespace);
    for kind in ["Service", "Deployment"] {
        let of_kind: Vec<&Object> = objects.iter().filter(|object| object.kind() == kind).collect();
        if !of_kind.iter().any(|object| object.name() == name && object.namespace() == Some(namespace)) {
            let found: Vec<String> = of_kind.iter().map(|object| object.reference().to_string()).collect();
            let found = if found.is_empty() { format!("no {kind} at all") } else { found.join(", ") };
            let file = environment.file.strip_prefix(&environment.root).unwrap_or(&environment.file).display();
            return Err(Error::usage(format!("{tree} renders no {kind} {namespace}/{name}"))
                .cause(format!("it renders {found}"))
                .hint(format!("name the {kind} in {file}, or add it to {tree}")));
        }
    }
    let uses_image = objects.iter().any(|object| {
        let mut used = false;
        transform::visit_images(&mut object.value.clone(), &mut |image| {
            used |= transform::split_image(image).0 == name;
        });
        used
    });
    if !uses_image {
        return Err(Error::usage(format!("no container in {tree} uses the image `{name}`"))
            .hint(format!("write `image: {name}` in the Deployment; the digest that was pushed takes its place")));
    }
    Ok(())
}

/// kustomize's default order: by kind what others need first, webhooks last, then by group, version, kind and name.
fn order(left: &Object, right: &Object) -> Ordering {
    const FIRST: [&str; 22] = [
        "Namespace",
        "ResourceQuota",
        "StorageClass",
        "CustomResourceDefinition",
        "ServiceAccount",
        "PodSecurityPolicy",
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "ConfigMap",
        "Secret",
        "Endpoints",
        "Service",
        "LimitRange",
        "PriorityClass",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Deployment",
        "StatefulSet",
        "CronJob",
        "PodDisruptionBudget",
    ];
    let rank = |object: &Object| match object.kind() {
        "MutatingWebhookConfiguration" => FIRST.len() + 1,
        "ValidatingWebhookConfiguration" => FIRST.len() + 2,
        kind => FIRST.iter().position(|first| *first == kind).unwrap_or(FIRST.len()),
    };
    // `~` sorts an empty part behind every other, as kustomize has it.
    let key = |object: &Object| {
        let reference = object.reference();
        let (group, version) = reference.api_version.split_once('/').unwrap_or(("~G", &reference.api_version));
        let namespace = reference.namespace.as_deref().unwrap_or("~X");
        format!("{group}_{version}_{}|{namespace}|{}", reference.kind, reference.name)
    };
    rank(left).cmp(&rank(right)).then_with(|| key(left).cmp(&key(right)))
}

#[cfg(test)]
mod tests;
