//! `buildMetadata`: what kustomize notes of itself and of where objects come from. Only that of the kustomization which
//! is rendered counts, for all that it is built on.

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::object::Object;

const ANNOTATION: &str = "config.kubernetes.io/origin";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The version that the pinned kubectl has within; the label names it.
const KUSTOMIZE: &str = "kustomize-v5.8.1";

/// Where the directory that is being built lies, seen from the one that is rendered.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin(PathBuf);

impl Origin {
    /// The same of a directory that is named there.
    pub(super) fn within(&self, path: &str) -> Self {
        Self(join(&self.0, path))
    }

    /// Notes the file that an object is written in.
    pub(super) fn of_file(&self, object: &mut Object, path: &str) {
        note(&mut object.value, format!("path: {}\n", join(&self.0, path).display()));
    }

    /// What is noted of an object that a generator makes.
    pub(super) fn of_generator(&self, value: &mut Value, file: &str) {
        let file = file.rsplit('/').next().unwrap_or(file);
        let kind = value["kind"].as_str().unwrap_or_default();
        let by = format!("configuredBy:\n  apiVersion: builtin\n  kind: {kind}Generator\n");
        let text = format!("configuredIn: {}\n{by}", join(&self.0, file).display());
        note(value, text);
    }

    /// What was noted of an object stays when a generator adds to it.
    pub(super) fn keep(made: &mut Value, old: &Value) {
        let noted = &old["metadata"]["annotations"][ANNOTATION];
        if noted.is_string() {
            made["metadata"]["annotations"][ANNOTATION] = noted.clone();
        }
    }
}

fn note(value: &mut Value, text: String) {
    let annotations = &mut value["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[ANNOTATION] = text.into();
}

/// `managedByLabel`
pub(super) fn label(object: &mut Object) {
    let labels = &mut object.value["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels[MANAGED_BY] = KUSTOMIZE.into();
}

/// A path from the directory that is rendered; it may begin above it.
fn join(directory: &Path, path: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    for component in directory.join(path).components() {
        let above = matches!(joined.components().next_back(), None | Some(Component::ParentDir));
        match component {
            Component::CurDir => {}
            Component::ParentDir if !above => {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined
}
