//! kustomization.yaml as it is written; what this renderer does not do is an error at the field, never ignored.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};

use super::{field::Field, reader::Text, yaml::Position};
use crate::error::{Error, Result};

mod parts;
mod read;
mod replacements;

pub(super) use read::{read, replacements};

/// The file names that kustomize recognises.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

#[derive(Debug, Default)]
pub(super) struct Kustomization {
    pub(super) file: Arc<str>,
    /// What it does is done to all that the kustomization has which uses it.
    pub(super) component: bool,
    pub(super) resources: Vec<Text>,
    pub(super) components: Vec<Text>,
    pub(super) namespace: Option<String>,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) common_labels: Map<String, Value>,
    pub(super) labels: Vec<Labels>,
    pub(super) common_annotations: Map<String, Value>,
    pub(super) images: Vec<Image>,
    pub(super) replicas: Vec<Replicas>,
    pub(super) patches: Vec<Patch>,
    /// `patchesStrategicMerge`: each a patch, or the path of one.
    pub(super) strategic_patches: Vec<Text>,
    /// `patchesJson6902`
    pub(super) json_patches: Vec<Patch>,
    pub(super) config_maps: Vec<Generator>,
    pub(super) secrets: Vec<Generator>,
    pub(super) generator_options: GeneratorOptions,
    pub(super) replacements: Vec<Replacements>,
    pub(super) sort: Sort,
    pub(super) build_metadata: BuildMetadata,
}

/// `buildMetadata`
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct BuildMetadata {
    /// `managedByLabel`
    pub(super) managed_by: bool,
    /// `originAnnotations`
    pub(super) origin: bool,
}

/// The order of all that is rendered.
#[derive(Debug, Default)]
pub(super) enum Sort {
    /// What others need first, as kustomize knows it.
    #[default]
    Default,
    /// These kinds first and last.
    Kinds { first: Vec<String>, last: Vec<String> },
    /// `fifo`
    Written,
}

#[derive(Debug)]
pub(super) struct Labels {
    pub(super) pairs: Map<String, Value>,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
    /// More places for them.
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Image {
    pub(super) at: Position,
    pub(super) name: String,
    pub(super) new_name: Option<String>,
    pub(super) new_tag: Option<String>,
    pub(super) tag_suffix: Option<String>,
    pub(super) digest: Option<String>,
}

#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) at: Position,
    pub(super) name: String,
    pub(super) count: u64,
}

#[derive(Debug)]
pub(super) struct Patch {
    pub(super) at: Position,
    pub(super) path: Option<Text>,
    pub(super) inline: Option<Text>,
    pub(super) target: Option<Target>,
    /// Whether a strategic merge may give the object another name, another kind.
    pub(super) allow_name: bool,
    pub(super) allow_kind: bool,
}

/// Which objects: each a regular expression that matches the whole, as kustomize takes them.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) group: Option<Text>,
    pub(super) version: Option<Text>,
    pub(super) kind: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) namespace: Option<Text>,
    pub(super) labels: Option<Text>,
    pub(super) annotations: Option<Text>,
}

#[derive(Debug)]
pub(super) struct Generator {
    pub(super) at: Position,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// The type of a Secret.
    pub(super) kind: Option<String>,
    pub(super) behavior: Behavior,
    pub(super) literals: Vec<Text>,
    pub(super) files: Vec<Text>,
    pub(super) envs: Vec<Text>,
    pub(super) options: GeneratorOptions,
}

/// What a generator does when there is an object of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behavior {
    Create,
    Merge,
    Replace,
}

#[derive(Debug, Default, Clone)]
pub(super) struct GeneratorOptions {
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    pub(super) disable_name_suffix_hash: bool,
    pub(super) immutable: bool,
}

/// An entry of `replacements`.
#[derive(Debug)]
pub(super) enum Replacements {
    Inline(Box<Replacement>),
    /// A file with one, or with a list of them.
    Path(Text),
}

#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) at: Position,
    pub(super) source: Source,
    pub(super) targets: Vec<ReplacementTarget>,
}

/// Where the value of a replacement comes from.
#[derive(Debug)]
pub(super) enum Source {
    Value(String),
    Field { select: Box<Target>, path: String, options: FieldOptions },
}

#[derive(Debug)]
pub(super) struct ReplacementTarget {
    pub(super) select: Target,
    pub(super) reject: Vec<Target>,
    pub(super) paths: Vec<Text>,
    pub(super) options: FieldOptions,
}

#[derive(Debug, Default)]
pub(super) struct FieldOptions {
    pub(super) delimiter: String,
    pub(super) index: i64,
    pub(super) create: bool,
}

/// The kustomization file of a directory.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn find(directory: &Path, shown: &str) -> Result<&'static str> {
    let found: Vec<&str> = FILE_NAMES.into_iter().filter(|name| directory.join(name).is_file()).collect();
    match found[..] {
        [name] => Ok(name),
        [] => Err(Error::usage(format!("{shown} holds no kustomization.yaml"))
            .hint(format!("write {shown}/kustomization.yaml, or correct the path that leads there"))),
        _ => Err(Error::usage(format!("{shown} holds more than one kustomization file: {}", found.join(", ")))),
    }
}
