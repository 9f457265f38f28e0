//! kustomization.yaml as it is written; what this renderer does not do is an error at the field, never ignored.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};

use super::{
    reader::{Reader, Text},
    yaml::{Key, Node, Position, parse, wrong},
};
use crate::error::{Error, Result};

/// The file names that kustomize recognises.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields of kustomize (v5) that are not rendered here.
const UNSUPPORTED: [&str; 19] = [
    "bases",
    "buildMetadata",
    "components",
    "configurations",
    "crds",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "imageTags",
    "inventory",
    "openapi",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
];

#[derive(Debug, Default)]
pub(super) struct Kustomization {
    pub(super) file: Arc<str>,
    pub(super) resources: Vec<Text>,
    pub(super) namespace: Option<String>,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) common_labels: Map<String, Value>,
    pub(super) labels: Vec<Labels>,
    pub(super) common_annotations: Map<String, Value>,
    pub(super) images: Vec<Image>,
    pub(super) replicas: Vec<Replicas>,
    pub(super) patches: Vec<Patch>,
    pub(super) config_maps: Vec<Generator>,
    pub(super) secrets: Vec<Generator>,
    pub(super) generator_options: GeneratorOptions,
}

#[derive(Debug)]
pub(super) struct Labels {
    pub(super) pairs: Map<String, Value>,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
}

#[derive(Debug)]
pub(super) struct Image {
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
}

/// Which objects a patch is for: each a regular expression that matches the whole, as kustomize takes them.
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
    pub(super) literals: Vec<Text>,
    pub(super) files: Vec<Text>,
    pub(super) envs: Vec<Text>,
    pub(super) options: GeneratorOptions,
}

#[derive(Debug, Default, Clone)]
pub(super) struct GeneratorOptions {
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    pub(super) disable_name_suffix_hash: Option<bool>,
    pub(super) immutable: Option<bool>,
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

/// Reads a kustomization.
///
/// # Errors
/// `FILE:LINE:COLUMN:` and what is wrong, unknown or not supported there.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Kustomization> {
    let documents = parse(file, text)?;
    let [root] = &documents[..] else {
        return Err(Error::usage(format!(
            "{file}: a kustomization is one YAML document, this holds {}",
            documents.len()
        )));
    };
    let mut kustomization = Kustomization { file: Arc::clone(file), ..Kustomization::default() };
    let reader = Reader { file };
    for (key, node) in reader.entries(root)? {
        // An empty field is one that is not there, as kustomize takes it.
        let known = reader.field(&mut kustomization, key, node)?;
        if !known {
            let known: Vec<&str> = FIELDS.into_iter().chain(UNSUPPORTED).collect();
            return Err(reader.unknown(key, "", &known, &UNSUPPORTED));
        }
    }
    Ok(kustomization)
}

/// The fields that are rendered.
const FIELDS: [&str; 16] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "replicas",
    "patches",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
];

impl Reader<'_> {
    fn field(&self, into: &mut Kustomization, key: &Key, node: &Node) -> Result<bool> {
        match key.text.as_str() {
            "apiVersion" => self.constant(node, "kustomize.config.k8s.io/v1beta1")?,
            "kind" => self.constant(node, "Kustomization")?,
            "metadata" => {}
            "resources" => into.resources = self.texts(node)?,
            "namespace" => into.namespace = Some(self.text(node)?.text),
            "namePrefix" => into.name_prefix = self.text(node)?.text,
            "nameSuffix" => into.name_suffix = self.text(node)?.text,
            "commonLabels" => into.common_labels = self.pairs(node)?,
            "labels" => into.labels = self.each(node, Self::labels)?,
            "commonAnnotations" => into.common_annotations = self.pairs(node)?,
            "images" => into.images = self.each(node, Self::image)?,
            "replicas" => into.replicas = self.each(node, Self::replicas)?,
            "patches" => into.patches = self.each(node, Self::patch)?,
            "configMapGenerator" => into.config_maps = self.each(node, |reader, node| reader.generator(node, false))?,
            "secretGenerator" => into.secrets = self.each(node, |reader, node| reader.generator(node, true))?,
            "generatorOptions" => into.generator_options = self.generator_options(node)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn labels(&self, node: &Node) -> Result<Labels> {
        let mut labels = Labels { pairs: Map::new(), include_selectors: false, include_templates: false };
        const KNOWN: [&str; 4] = ["pairs", "includeSelectors", "includeTemplates", "fields"];
        for (key, node) in self.entries(node)? {
            match key.text.as_str() {
                "pairs" => labels.pairs = self.pairs(node)?,
                "includeSelectors" => labels.include_selectors = self.boolean(node)?,
                "includeTemplates" => labels.include_templates = self.boolean(node)?,
                _ => return Err(self.unknown(key, "labels", &KNOWN, &["fields"])),
            }
        }
        Ok(labels)
    }

    fn image(&self, node: &Node) -> Result<Image> {
        let mut image = Image { name: String::new(), new_name: None, new_tag: None, tag_suffix: None, digest: None };
        const KNOWN: [&str; 5] = ["name", "newName", "newTag", "tagSuffix", "digest"];
        for (key, value) in self.entries(node)? {
            let text = self.text(value)?.text;
            match key.text.as_str() {
                "name" => image.name = text,
                "newName" => image.new_name = Some(text),
                "newTag" => image.new_tag = Some(text),
                "tagSuffix" => image.tag_suffix = Some(text),
                "digest" => image.digest = Some(text),
                _ => return Err(self.unknown(key, "images", &KNOWN, &[])),
            }
        }
        self.required(node, "images", "name", &image.name)?;
        Ok(image)
    }

    fn replicas(&self, node: &Node) -> Result<Replicas> {
        let mut replicas = Replicas { at: node.at, name: String::new(), count: 0 };
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "name" => replicas.name = self.text(value)?.text,
                "count" => {
                    replicas.count = value
                        .to_value()
                        .as_u64()
                        .ok_or_else(|| wrong(self.file, value.at, "count is a number of replicas"))?;
                }
                _ => return Err(self.unknown(key, "replicas", &["name", "count"], &[])),
            }
        }
        self.required(node, "replicas", "name", &replicas.name)?;
        Ok(replicas)
    }

    fn patch(&self, node: &Node) -> Result<Patch> {
        let mut patch = Patch { at: node.at, path: None, inline: None, target: None };
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "path" => patch.path = Some(self.text(value)?),
                "patch" => patch.inline = Some(self.text(value)?),
                "target" => patch.target = Some(self.target(value)?),
                _ => return Err(self.unknown(key, "patches", &["path", "patch", "target", "options"], &["options"])),
            }
        }
        if patch.path.is_some() == patch.inline.is_some() {
            return Err(wrong(self.file, node.at, "a patch has either `path` or `patch`"));
        }
        Ok(patch)
    }

    fn target(&self, node: &Node) -> Result<Target> {
        let mut target = Target::default();
        const KNOWN: [&str; 7] =
            ["group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"];
        for (key, value) in self.entries(node)? {
            let text = Some(self.text(value)?).filter(|text| !text.text.is_empty());
            match key.text.as_str() {
                "group" => target.group = text,
                "version" => target.version = text,
                "kind" => target.kind = text,
                "name" => target.name = text,
                "namespace" => target.namespace = text,
                "labelSelector" => target.labels = text,
                "annotationSelector" => target.annotations = text,
                _ => return Err(self.unknown(key, "patches.target", &KNOWN, &[])),
            }
        }
        Ok(target)
    }

    fn generator(&self, node: &Node, secret: bool) -> Result<Generator> {
        let mut generator = Generator {
            at: node.at,
            name: String::new(),
            namespace: None,
            kind: None,
            literals: Vec::new(),
            files: Vec::new(),
            envs: Vec::new(),
            options: GeneratorOptions::default(),
        };
        const KNOWN: [&str; 9] =
            ["name", "namespace", "literals", "files", "envs", "options", "type", "behavior", "env"];
        let field = if secret { "secretGenerator" } else { "configMapGenerator" };
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "name" => generator.name = self.text(value)?.text,
                "namespace" => generator.namespace = Some(self.text(value)?.text),
                "type" if secret => generator.kind = Some(self.text(value)?.text),
                "literals" => generator.literals = self.texts(value)?,
                "files" => generator.files = self.texts(value)?,
                "envs" => generator.envs = self.texts(value)?,
                "options" => generator.options = self.generator_options(value)?,
                "behavior" if self.text(value)?.text == "create" => {}
                _ => return Err(self.unknown(key, field, &KNOWN, &["behavior", "env", "type"])),
            }
        }
        self.required(node, field, "name", &generator.name)?;
        Ok(generator)
    }

    fn generator_options(&self, node: &Node) -> Result<GeneratorOptions> {
        let mut options = GeneratorOptions::default();
        const KNOWN: [&str; 4] = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "labels" => options.labels = self.pairs(value)?,
                "annotations" => options.annotations = self.pairs(value)?,
                "disableNameSuffixHash" => options.disable_name_suffix_hash = Some(self.boolean(value)?),
                "immutable" => options.immutable = Some(self.boolean(value)?),
                _ => return Err(self.unknown(key, "options", &KNOWN, &[])),
            }
        }
        Ok(options)
    }
}
