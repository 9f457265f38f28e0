//! One kustomization, with all that it is built on, becomes a list of objects.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    files::{Scope, clean, show},
    generate, images,
    kustomization::{Kustomization, find, read},
    labels,
    object::Object,
    order,
    origin::{self, Origin},
    patch,
    reader::Text,
    references, replace, transform,
    yaml::{Data, Node, parse, wrong},
};
use crate::error::{Error, Result};

/// Renders the kustomization in a directory.
///
/// # Errors
/// Whatever is wrong in its files, with file, line and column.
pub(super) fn build(root: &Path, directory: &Path) -> Result<Vec<Object>> {
    let mut builder = Builder { root, open: Vec::new(), origin: None };
    let directory = clean(directory);
    let kustomization = builder.read(&directory)?;
    if kustomization.component {
        return Err(Error::usage(format!("{} is a component, which is not rendered by itself", kustomization.file)));
    }
    builder.origin = kustomization.build_metadata.origin.then(Origin::default);
    let mut objects =
        builder.within(&directory, |builder| builder.kustomize(&kustomization, &directory, Vec::new()))?;
    for object in objects.iter_mut().filter(|object| object.hashed) {
        let name = format!("{}-{}", object.name(), generate::hash(&object.value));
        object.rename(name);
    }
    references::follow(&mut objects)?;
    // https://kubectl.docs.kubernetes.io/references/kustomize/glossary: local configuration is not for the cluster.
    objects.retain(|object| {
        let local = &object.value["metadata"]["annotations"]["config.kubernetes.io/local-config"];
        local.is_null() || local == "false"
    });
    order::sort(&mut objects, &kustomization.sort);
    if kustomization.build_metadata.managed_by {
        objects.iter_mut().for_each(origin::label);
    }
    Ok(objects)
}

struct Builder<'root> {
    root: &'root Path,
    /// The directories being built, outermost first.
    open: Vec<PathBuf>,
    /// Where the innermost lies, if objects are to say where they come from.
    origin: Option<Origin>,
}

impl Builder<'_> {
    fn read(&self, directory: &Path) -> Result<Kustomization> {
        let shown = show(self.root, directory);
        let name = find(directory, &shown)?;
        let scope = Scope { root: self.root, directory };
        let text = scope.text(name).map_err(Error::usage)?;
        read(&scope.show(name).into(), &text)
    }

    /// Builds a directory that a kustomization names.
    fn named<T>(
        &mut self,
        (named, directory): (&Text, &Path),
        build: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let inner = self.origin.as_ref().map(|origin| origin.within(&named.text));
        let outer = std::mem::replace(&mut self.origin, inner);
        let built = self.within(directory, build);
        self.origin = outer;
        built
    }

    fn within<T>(&mut self, directory: &Path, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.open.push(directory.to_owned());
        let built = build(self);
        self.open.pop();
        built
    }

    /// Everything that a kustomization makes of what it has and of `objects`, which a component gets from its user.
    fn kustomize(
        &mut self,
        kustomization: &Kustomization,
        directory: &Path,
        mut objects: Vec<Object>,
    ) -> Result<Vec<Object>> {
        let file = &kustomization.file;
        let scope = Scope { root: self.root, directory };
        for resource in &kustomization.resources {
            objects.extend(self.resource(resource, file, directory)?);
            unique(&objects)?;
        }
        generate::generate(&mut objects, kustomization, &scope, self.origin.as_ref())?;
        for component in &kustomization.components {
            let directory = self.directory(component, file, directory)?;
            let component_file = self.read(&directory)?;
            if !component_file.component {
                return Err(wrong(file, component.at, format_args!("{} is not a component", component_file.file)));
            }
            let build = |builder: &mut Self| builder.kustomize(&component_file, &directory, objects);
            objects = self.named((component, &directory), build)?;
            unique(&objects)?;
        }
        transform_all(&mut objects, kustomization, &scope)?;
        unique(&objects)?;
        Ok(objects)
    }

    fn resource(&mut self, resource: &Text, file: &str, directory: &Path) -> Result<Vec<Object>> {
        let scope = Scope { root: self.root, directory };
        if !scope.path(&resource.text).is_file() {
            let directory = self.directory(resource, file, directory)?;
            let kustomization = self.read(&directory)?;
            if kustomization.component {
                let what = format!("{} is a component: list it under `components`", kustomization.file);
                return Err(wrong(file, resource.at, what));
            }
            let build = |builder: &mut Self| builder.kustomize(&kustomization, &directory, Vec::new());
            return self.named((resource, &directory), build);
        }
        let text = scope.text(&resource.text).map_err(|what| wrong(file, resource.at, what))?;
        let shown: Arc<str> = scope.show(&resource.text).into();
        let mut objects = Vec::new();
        for document in parse(&shown, &text)? {
            manifest(&shown, &document, &mut objects)?;
        }
        if let Some(origin) = &self.origin {
            objects.iter_mut().for_each(|object| origin.of_file(object, &resource.text));
        }
        Ok(objects)
    }

    /// A directory that a kustomization names.
    fn directory(&self, named: &Text, file: &str, directory: &Path) -> Result<PathBuf> {
        let remote = ["https://", "http://", "ssh://", "file://", "git::", "git@", "github.com/", "github.com:"];
        if remote.iter().any(|start| named.text.starts_with(start)) || named.text.contains("?ref=") {
            return Err(wrong(file, named.at, "a resource from the network is not supported"));
        }
        let scope = Scope { root: self.root, directory };
        let (path, shown) = (scope.path(&named.text), scope.show(&named.text));
        if !path.exists() {
            return Err(wrong(file, named.at, format_args!("there is no {shown}")));
        }
        if !path.is_dir() {
            return Err(wrong(file, named.at, format_args!("{shown} is not a directory")));
        }
        if Path::new(&named.text).is_absolute() {
            return Err(wrong(file, named.at, "a directory is named from here, not from the root"));
        }
        if self.open.contains(&path) {
            return Err(wrong(file, named.at, format_args!("{shown} is built on itself")));
        }
        if self.open.iter().any(|open| open.starts_with(&path)) {
            return Err(wrong(file, named.at, format_args!("{shown} is around what is built on it")));
        }
        Ok(path)
    }
}

/// kustomize's order: patches see the names as written, images and replacements come last.
fn transform_all(objects: &mut Vec<Object>, kustomization: &Kustomization, scope: &Scope<'_>) -> Result<()> {
    let file = &kustomization.file;
    for patch in &kustomization.strategic_patches {
        patch::strategic_patch(objects, patch, file, scope)?;
    }
    for patch in &kustomization.patches {
        patch::apply(objects, patch, file, scope)?;
    }
    if let Some(namespace) = kustomization.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
        objects.iter_mut().for_each(|object| transform::namespace(object, namespace));
        unique(objects)?;
    }
    for object in objects.iter_mut() {
        transform::affixes(object, &kustomization.name_prefix, &kustomization.name_suffix);
        labels::labels(object, kustomization);
        labels::annotations(object, &kustomization.common_annotations);
    }
    for patch in &kustomization.json_patches {
        patch::apply(objects, patch, file, scope)?;
    }
    for replicas in &kustomization.replicas {
        transform::replicas(objects, replicas, file)?;
    }
    for image in &kustomization.images {
        images::apply(objects, image, file)?;
    }
    replace::apply(objects, &kustomization.replacements, file, scope)
}

fn manifest(file: &Arc<str>, node: &Node, objects: &mut Vec<Object>) -> Result<()> {
    // A List is its items, as kubectl takes it.
    if let Data::Map(entries) = &node.data {
        let field = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
        let kind = field("kind").map(Node::to_value);
        let is_list = kind.as_ref().and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
        if let (true, Some(Data::List(items))) = (is_list, field("items").map(|node| &node.data)) {
            return items.iter().try_for_each(|item| manifest(file, item, objects));
        }
    }
    objects.push(Object::from_node(file, node)?);
    Ok(())
}

/// Two objects of one identity would overwrite each other.
fn unique(objects: &[Object]) -> Result<()> {
    let mut seen = HashMap::new();
    for object in objects {
        if let Some(first) = seen.insert(object.identity(), object) {
            let (reference, second) = (object.reference(), object.position());
            return Err(Error::usage(format!("{second}: {reference} is there already, from {}", first.position())));
        }
    }
    Ok(())
}
