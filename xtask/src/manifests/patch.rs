//! `patches`: strategic merge and JSON 6902, by target or by the identity that the patch itself names.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    files::Scope,
    identity::Identity,
    kustomization::Patch,
    merge::{Outcome, strategic},
    object::Object,
    reader::Text,
    scope::is_cluster_scoped,
    selector::Selector,
    yaml::{Data, Node, Position, parse, wrong},
};
use crate::error::{Error, Result};

/// Applies an entry of `patches` or `patchesJson6902`.
///
/// # Errors
/// The patch cannot be read, selects nothing it must select, or does not fit the object.
pub(super) fn apply(objects: &mut Vec<Object>, patch: &Patch, file: &Arc<str>, scope: &Scope<'_>) -> Result<()> {
    let source = match (&patch.path, &patch.inline) {
        (Some(path), _) => Written::in_file(path, file, scope)?,
        (None, Some(inline)) => Written::inline(inline, file)?,
        (None, None) => return Ok(()),
    };
    let selector = patch.target.as_ref().map(|target| Selector::new(target, file)).transpose()?;
    for document in &source.documents {
        let place = source.place(document);
        match (&document.data, &selector) {
            (Data::List(_), Some(selector)) => json(objects, &document.to_value(), selector, place)?,
            (Data::List(_), None) => return Err(wrong(file, patch.at, "a JSON patch needs a `target`")),
            (Data::Map(_), selector) => {
                let merge =
                    Merge { selector: selector.as_ref(), allow_name: patch.allow_name, allow_kind: patch.allow_kind };
                merge.apply(objects, &document.to_value(), place)?;
            }
            (Data::Scalar(_), _) => {
                return Err(place.wrong("a patch is a mapping, or a list of JSON patch operations"));
            }
        }
    }
    Ok(())
}

/// Applies an entry of `patchesStrategicMerge`: patches, or the path of a file with patches.
///
/// # Errors
/// As [`apply`].
pub(super) fn strategic_patch(
    objects: &mut Vec<Object>,
    patch: &Text,
    file: &Arc<str>,
    scope: &Scope<'_>,
) -> Result<()> {
    let is_patch = |source: &Written| source.documents.iter().all(|document| matches!(document.data, Data::Map(_)));
    let source = match Written::inline(patch, file) {
        Ok(source) if is_patch(&source) => source,
        _ => Written::in_file(patch, file, scope)?,
    };
    for document in &source.documents {
        let merge = Merge { selector: None, allow_name: false, allow_kind: false };
        merge.apply(objects, &document.to_value(), source.place(document))?;
    }
    Ok(())
}

/// Patches as they are written.
struct Written {
    file: Arc<str>,
    documents: Vec<Node>,
    /// Positions inside an inline patch are its own; the place where it is written is what a person can find.
    inline: Option<Position>,
}

/// The file and the position of a patch.
#[derive(Clone, Copy)]
struct Place<'file> {
    file: &'file str,
    at: Position,
}

impl Place<'_> {
    fn wrong(self, what: impl std::fmt::Display) -> Error {
        wrong(self.file, self.at, what)
    }
}

impl Written {
    fn in_file(path: &Text, file: &str, scope: &Scope<'_>) -> Result<Self> {
        let text = scope.text(&path.text).map_err(|what| wrong(file, path.at, what))?;
        let file: Arc<str> = scope.show(&path.text).into();
        Ok(Self { documents: parse(&file, &text)?, file, inline: None })
    }

    fn inline(text: &Text, file: &Arc<str>) -> Result<Self> {
        let documents = parse(file, &text.text)
            .map_err(|error| wrong(file, text.at, "this patch is not YAML").cause(error.message))?;
        Ok(Self { documents, file: Arc::clone(file), inline: Some(text.at) })
    }

    fn place(&self, document: &Node) -> Place<'_> {
        Place { file: &self.file, at: self.inline.unwrap_or(document.at) }
    }
}

fn json(objects: &mut [Object], patch: &Value, selector: &Selector, place: Place<'_>) -> Result<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        // What serde says could repeat a value, and that of a secret.
        .map_err(|_| place.wrong("not a JSON patch (RFC 6902): each operation has op, path, and value or from"))?;
    for object in objects.iter_mut().filter(|object| selector.selects(object)) {
        object.remember();
        // kustomize keeps its own notes in annotations, so a patch always finds some to add to.
        if let Some(metadata) = object.metadata() {
            metadata.entry("annotations").or_insert_with(|| Map::new().into());
        }
        json_patch::patch(&mut object.value, &operations)
            .map_err(|error| place.wrong(format_args!("the patch does not fit {}: {error}", object.reference())))?;
        if let Some(metadata) = object.metadata()
            && metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
        {
            metadata.remove("annotations");
        }
        object.shared.clear();
        if object.name().is_empty() || object.kind().is_empty() {
            return Err(place.wrong("the patch leaves an object without a name or a kind"));
        }
    }
    Ok(())
}

struct Merge<'patch> {
    /// None: the patch is for the object that it names.
    selector: Option<&'patch Selector>,
    allow_name: bool,
    allow_kind: bool,
}

impl Merge<'_> {
    fn apply(&self, objects: &mut Vec<Object>, patch: &Value, place: Place<'_>) -> Result<()> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (Some(kind), Some(name)) = (text(&patch["kind"]), text(&patch["metadata"]["name"])) else {
            return Err(place.wrong("a patch has a kind and a metadata.name, even if a target selects the objects"));
        };
        let selected: Vec<usize> = match self.selector {
            Some(selector) => (0..objects.len()).filter(|&index| selector.selects(&objects[index])).collect(),
            None => vec![named(objects, patch, &kind, &name, place)?],
        };
        let mut deleted = Vec::new();
        for index in selected {
            if !self.merge(&mut objects[index], patch, place)? {
                deleted.push(index);
            }
        }
        for index in deleted.into_iter().rev() {
            objects.remove(index);
        }
        Ok(())
    }

    /// False: the patch deletes the object.
    fn merge(&self, object: &mut Object, patch: &Value, place: Place<'_>) -> Result<bool> {
        if self.allow_name || self.allow_kind {
            object.remember();
        }
        let before = object.identity();
        let namespace = object.value["metadata"].get("namespace").cloned();
        let mut patch = patch.clone();
        patch["apiVersion"] = before.api_version.as_str().into();
        if patch["metadata"]["annotations"].as_object().is_some_and(Map::is_empty)
            && let Some(metadata) = patch["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
        let outcome = strategic(&mut object.value, &patch, &before).map_err(|what| place.wrong(what))?;
        if outcome == Outcome::Deleted {
            return Ok(false);
        }
        object.settle();
        // A patch may only call an object otherwise if it is said so.
        if !self.allow_kind {
            object.value["kind"] = before.kind.into();
        }
        if !self.allow_name {
            object.value["metadata"]["name"] = before.name.into();
        }
        if let Some(metadata) = object.metadata() {
            match namespace {
                Some(namespace) => metadata.insert("namespace".into(), namespace),
                None => metadata.remove("namespace"),
            };
        }
        Ok(true)
    }
}

/// The object that a patch without a target names, by what it is or was called.
fn named(objects: &[Object], patch: &Value, kind: &str, name: &str, place: Place<'_>) -> Result<usize> {
    let api_version = patch["apiVersion"].as_str().unwrap_or_default();
    let namespace = patch["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    let is_meant = |identity: &Identity| {
        identity.api_version == api_version
            && identity.kind == kind
            && identity.name == name
            && (is_cluster_scoped(api_version, kind) || identity.namespace == namespace.unwrap_or("default"))
    };
    let found: Vec<usize> =
        (0..objects.len()).filter(|&index| objects[index].identities().any(|identity| is_meant(&identity))).collect();
    match found[..] {
        [index] => Ok(index),
        [] => Err(place.wrong(format_args!("the patch is for {kind} {name}, which is not among the resources"))),
        _ => Err(place.wrong(format_args!("the patch is for {kind} {name}, and there are several"))),
    }
}
