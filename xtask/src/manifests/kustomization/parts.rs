//! The parts of a kustomization out of their YAML.

use serde_json::Map;

use super::{Behavior, Generator, GeneratorOptions, Image, Labels, Patch, Replicas, Target};
use crate::{
    error::Result,
    manifests::{
        field::{Field, Kind},
        reader::{Reader, Text},
        yaml::{Node, wrong},
    },
};

impl Reader<'_> {
    pub(super) fn labels(&self, node: &Node) -> Result<Labels> {
        let mut labels =
            Labels { pairs: Map::new(), include_selectors: false, include_templates: false, fields: Vec::new() };
        const KNOWN: [&str; 4] = ["pairs", "includeSelectors", "includeTemplates", "fields"];
        for (key, node) in self.entries(node)? {
            match key.text.as_str() {
                "pairs" => labels.pairs = self.pairs(node)?,
                "includeSelectors" => labels.include_selectors = self.boolean(node)?,
                "includeTemplates" => labels.include_templates = self.boolean(node)?,
                "fields" => labels.fields = self.each(node, Self::label_field)?,
                _ => return Err(self.unknown(key, "labels", &KNOWN, &[])),
            }
        }
        Ok(labels)
    }

    fn label_field(&self, node: &Node) -> Result<Field> {
        let mut field = Field { of: Kind::default(), path: Vec::new(), create: false };
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "group" => field.of.group = self.text(value)?.text,
                "version" => field.of.version = self.text(value)?.text,
                "kind" => field.of.kind = self.text(value)?.text,
                "create" => field.create = self.boolean(value)?,
                // A slash of a name is written with a backslash before it.
                "path" => {
                    let path = self.text(value)?.text.replace("\\/", "\0");
                    field.path = path.split('/').map(|name| name.replace('\0', "/")).collect();
                }
                _ => {
                    let known = ["group", "version", "kind", "path", "create"];
                    return Err(self.unknown(key, "labels.fields", &known, &[]));
                }
            }
        }
        self.required(node, "labels.fields", "path", field.path.first().map_or("", String::as_str))?;
        Ok(field)
    }

    pub(super) fn image(&self, node: &Node) -> Result<Image> {
        let mut image =
            Image { at: node.at, name: String::new(), new_name: None, new_tag: None, tag_suffix: None, digest: None };
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

    pub(super) fn replicas(&self, node: &Node) -> Result<Replicas> {
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

    pub(super) fn patch(&self, node: &Node, field: &str) -> Result<Patch> {
        let mut patch =
            Patch { at: node.at, path: None, inline: None, target: None, allow_name: false, allow_kind: false };
        for (key, value) in self.entries(node)? {
            let text = |value| Ok(Some(self.text(value)?).filter(|text: &Text| !text.text.is_empty()));
            match key.text.as_str() {
                "path" => patch.path = text(value)?,
                "patch" => patch.inline = text(value)?,
                "target" if !value.is_null() => patch.target = Some(self.target(value, &format!("{field}.target"))?),
                "target" => {}
                "options" if field == "patches" => {
                    for (key, value) in self.entries(value)? {
                        match key.text.as_str() {
                            "allowNameChange" => patch.allow_name = self.boolean(value)?,
                            "allowKindChange" => patch.allow_kind = self.boolean(value)?,
                            _ => {
                                let known = ["allowNameChange", "allowKindChange"];
                                return Err(self.unknown(key, "patches.options", &known, &[]));
                            }
                        }
                    }
                }
                _ => return Err(self.unknown(key, field, &["path", "patch", "target", "options"], &[])),
            }
        }
        if patch.path.is_some() == patch.inline.is_some() {
            return Err(wrong(self.file, node.at, "a patch has either `path` or `patch`"));
        }
        if field != "patches" && patch.target.is_none() {
            return Err(wrong(self.file, node.at, "a JSON patch needs a `target`"));
        }
        Ok(patch)
    }

    pub(super) fn target(&self, node: &Node, field: &str) -> Result<Target> {
        self.target_with(node, field, &mut |_, _| Ok(false))
    }

    /// A target among other fields, which `other` reads and says whether it knows.
    pub(super) fn target_with(
        &self,
        node: &Node,
        field: &str,
        other: &mut dyn FnMut(&str, &Node) -> Result<bool>,
    ) -> Result<Target> {
        let mut target = Target::default();
        const KNOWN: [&str; 7] =
            ["group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"];
        for (key, value) in self.entries(node)? {
            if other(&key.text, value)? {
                continue;
            }
            let into = match key.text.as_str() {
                "group" => &mut target.group,
                "version" => &mut target.version,
                "kind" => &mut target.kind,
                "name" => &mut target.name,
                "namespace" => &mut target.namespace,
                "labelSelector" => &mut target.labels,
                "annotationSelector" => &mut target.annotations,
                _ => return Err(self.unknown(key, field, &KNOWN, &[])),
            };
            *into = Some(self.text(value)?).filter(|text| !text.text.is_empty());
        }
        Ok(target)
    }

    pub(super) fn generator(&self, node: &Node, secret: bool) -> Result<Generator> {
        let mut generator = Generator {
            at: node.at,
            name: String::new(),
            namespace: None,
            kind: None,
            behavior: Behavior::Create,
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
                "envs" => generator.envs.extend(self.texts(value)?),
                "options" => generator.options = self.generator_options(value)?,
                "env" => generator.envs.extend(Some(self.text(value)?).filter(|env| !env.text.is_empty())),
                "behavior" => {
                    generator.behavior = match self.text(value)?.text.as_str() {
                        "" | "create" => Behavior::Create,
                        "merge" => Behavior::Merge,
                        "replace" => Behavior::Replace,
                        _ => return Err(wrong(self.file, value.at, "the behavior is create, merge or replace")),
                    };
                }
                _ => return Err(self.unknown(key, field, &KNOWN, &[])),
            }
        }
        self.required(node, field, "name", &generator.name)?;
        Ok(generator)
    }

    pub(super) fn generator_options(&self, node: &Node) -> Result<GeneratorOptions> {
        let mut options = GeneratorOptions::default();
        const KNOWN: [&str; 4] = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "labels" => options.labels = self.pairs(value)?,
                "annotations" => options.annotations = self.pairs(value)?,
                "disableNameSuffixHash" => options.disable_name_suffix_hash = self.boolean(value)?,
                "immutable" => options.immutable = self.boolean(value)?,
                _ => return Err(self.unknown(key, "options", &KNOWN, &[])),
            }
        }
        Ok(options)
    }
}
