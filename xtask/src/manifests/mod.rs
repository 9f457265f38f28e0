//! A Kustomize tree becomes a list of objects, without touching anything.
//!
//! `kubectl kustomize` renders the same objects; a field of kustomize that is not done here is an error that names
//! it. Labels that mark our objects in the cluster are not part of it: [`crate::plan`] adds them.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    config::Unit,
    error::{Error, Result},
    image::reference::Reference,
};

mod build;
mod emit;
mod field;
mod files;
mod generate;
mod identity;
mod image;
mod images;
mod kustomization;
mod labels;
mod merge;
mod object;
mod order;
mod origin;
mod patch;
mod path;
mod reader;
mod references;
mod referrers;
mod replace;
mod scope;
mod selector;
mod transform;
mod yaml;

pub use image::pull_with;
pub use object::{Object, ObjectRef};
pub(crate) use order::insert;

/// Renders an environment's overlay, in `kubectl kustomize`'s order, with the image in place of its name.
///
/// Without an image the name stays, which is what `kubectl kustomize` prints.
///
/// # Errors
/// What is wrong in the tree, with file, line and column; nothing rendered; the environment's Service, Deployment
/// or image is not in it.
pub fn render(unit: Unit<'_>, image: Option<&Reference>) -> Result<Vec<Object>> {
    let mut objects = render_directory(&unit.environment.root, &unit.service.manifests)?;
    check(unit, &objects)?;
    if let Some(image) = image {
        objects.iter_mut().for_each(|object| image::put(&mut object.value, &unit.service.name, image));
    }
    Ok(objects)
}

/// Renders any directory that holds a kustomization, in `kubectl kustomize`'s order.
///
/// # Errors
/// What is wrong in the tree, with file, line and column, the files named from `root`.
pub fn render_directory(root: &Path, directory: &Path) -> Result<Vec<Object>> {
    build::build(root, directory)
}

/// The objects as one YAML stream.
pub fn to_yaml(objects: &[Object]) -> String {
    let documents: Vec<String> = objects.iter().map(|object| emit::document(&object.value)).collect();
    documents.join("---\n")
}

/// The objects as a `List`, which is what `kubectl get --output json` prints.
pub fn to_json(objects: &[Object]) -> String {
    let items: Vec<&Value> = objects.iter().map(|object| &object.value).collect();
    format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// The rendered set holds what the environment ships; a set without it would deploy nothing, successfully.
fn check(unit: Unit<'_>, objects: &[Object]) -> Result<()> {
    let tree = unit.service.manifests.strip_prefix(&unit.environment.root).unwrap_or(&unit.service.manifests).display();
    if objects.is_empty() {
        return Err(Error::usage(format!("{tree} renders no objects"))
            .hint(format!("list manifests under `resources` in {tree}/kustomization.yaml")));
    }
    let (name, namespace) = (&unit.service.name, &unit.service.namespace);
    for kind in ["Service", "Deployment"] {
        let of_kind: Vec<&Object> = objects.iter().filter(|object| object.kind() == kind).collect();
        if !of_kind.iter().any(|object| object.name() == name && object.namespace() == Some(namespace)) {
            let found: Vec<String> = of_kind.iter().map(|object| object.reference().to_string()).collect();
            let found = if found.is_empty() { format!("no {kind} at all") } else { found.join(", ") };
            let file =
                unit.environment.file.strip_prefix(&unit.environment.root).unwrap_or(&unit.environment.file).display();
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

#[cfg(test)]
mod tests;
