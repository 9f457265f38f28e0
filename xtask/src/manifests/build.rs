//! One kustomization, with all that it is built on, becomes a list of objects.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    generate,
    kustomization::{Kustomization, find, read},
    object::Object,
    patch,
    reader::Text,
    references, transform,
    yaml::{Data, Node, parse, wrong},
};
use crate::error::{Error, Result};

/// Renders the kustomization in a directory.
///
/// # Errors
/// Whatever is wrong in its files, with file, line and column.
pub(super) fn build(root: &Path, directory: &Path) -> Result<Vec<Object>> {
    let mut builder = Builder { root, open: Vec::new(), built: 0 };
    let mut objects = builder.directory(directory)?;
    for object in objects.iter_mut().filter(|object| object.hashed) {
        let name = format!("{}-{}", object.name(), generate::hash(&object.value));
        object.rename(name);
    }
    references::follow(&mut objects)?;
    // https://kubectl.docs.kubernetes.io/references/kustomize/glossary: local configuration is not for the cluster.
    objects.retain(|object| {
        object.value["metadata"]["annotations"]["config.kubernetes.io/local-config"].as_str() != Some("true")
    });
    Ok(objects)
}

struct Builder<'root> {
    root: &'root Path,
    /// The directories being built, outermost first.
    open: Vec<PathBuf>,
    built: usize,
}

impl Builder<'_> {
    fn directory(&mut self, directory: &Path) -> Result<Vec<Object>> {
        let shown = self.show(directory);
        if self.open.iter().any(|open| open == directory) {
            return Err(Error::usage(format!("{shown} is built on itself")));
        }
        let path = directory.join(find(directory, &shown)?);
        let file: Arc<str> = self.show(&path).into();
        let kustomization = read(&file, &self.text(&path)?)?;
        self.open.push(directory.to_owned());
        let objects = self.kustomize(&kustomization, directory);
        self.open.pop();
        objects
    }

    fn kustomize(&mut self, kustomization: &Kustomization, directory: &Path) -> Result<Vec<Object>> {
        let file = &kustomization.file;
        let mut objects = Vec::new();
        for resource in &kustomization.resources {
            objects.extend(self.resource(resource, file, directory)?);
        }
        objects.extend(generate::generate(kustomization, directory)?);
        unique(&objects)?;
        self.built += 1;
        objects.iter_mut().for_each(|object| object.lineage.push(self.built));

        // kustomize's order: patches see the names as written, images come last.
        for patch in &kustomization.patches {
            patch::apply(&mut objects, patch, file, directory, &|path| self.show(path))?;
        }
        for object in &mut objects {
            if let Some(namespace) = kustomization.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
                transform::namespace(object, namespace);
            }
            transform::affixes(object, &kustomization.name_prefix, &kustomization.name_suffix);
            transform::labels(object, kustomization);
            transform::annotations(object, &kustomization.common_annotations);
        }
        for replicas in &kustomization.replicas {
            transform::replicas(&mut objects, replicas, file)?;
        }
        objects.iter_mut().for_each(|object| transform::images(&mut object.value, &kustomization.images));
        unique(&objects)?;
        Ok(objects)
    }

    fn resource(&mut self, resource: &Text, file: &str, directory: &Path) -> Result<Vec<Object>> {
        if resource.text.contains("://") || resource.text.starts_with("git@") {
            return Err(wrong(file, resource.at, "a resource from the network is not supported"));
        }
        let path = clean(&directory.join(&resource.text));
        if path.is_dir() {
            return self.directory(&path);
        }
        if !path.exists() {
            return Err(wrong(file, resource.at, format_args!("there is no {}", self.show(&path))));
        }
        let shown: Arc<str> = self.show(&path).into();
        let mut objects = Vec::new();
        for document in parse(&shown, &self.text(&path)?)? {
            self.manifest(&shown, &document, &mut objects)?;
        }
        Ok(objects)
    }

    fn manifest(&self, file: &Arc<str>, node: &Node, objects: &mut Vec<Object>) -> Result<()> {
        // A List is its items, as kubectl takes it.
        if let Data::Map(entries) = &node.data {
            let field = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
            let kind = field("kind").map(Node::to_value);
            let is_list = kind.as_ref().and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            if let (true, Some(Data::List(items))) = (is_list, field("items").map(|node| &node.data)) {
                return items.iter().try_for_each(|item| self.manifest(file, item, objects));
            }
        }
        objects.push(Object::from_node(file, node)?);
        Ok(())
    }

    fn text(&self, path: &Path) -> Result<String> {
        fs::read_to_string(path).map_err(|error| Error::usage(format!("read {}", self.show(path))).source(&error))
    }

    /// A path as messages show it: from the repository's root.
    fn show(&self, path: &Path) -> String {
        let path = clean(path);
        path.strip_prefix(self.root).unwrap_or(&path).display().to_string()
    }
}

/// Two objects of one identity would overwrite each other.
fn unique(objects: &[Object]) -> Result<()> {
    let identity = |object: &Object| {
        let reference = object.reference();
        (reference.group().to_owned(), reference.kind, reference.namespace, reference.name)
    };
    let mut seen = std::collections::HashMap::new();
    for object in objects {
        if let Some(first) = seen.insert(identity(object), object) {
            let (reference, second) = (object.reference(), object.position());
            return Err(Error::usage(format!("{second}: {reference} is there already, from {}", first.position())));
        }
    }
    Ok(())
}

/// Takes `..` out of a path, without asking the file system.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}
