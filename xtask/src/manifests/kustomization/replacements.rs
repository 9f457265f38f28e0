//! `replacements` out of their YAML.

use super::{FieldOptions, Replacement, ReplacementTarget, Source, Target};
use crate::{
    error::Result,
    manifests::{
        reader::{Reader, Text},
        yaml::{Node, wrong},
    },
};

impl Reader<'_> {
    pub(super) fn replacement(&self, node: &Node) -> Result<Replacement> {
        let (mut source, mut targets) = (None, Vec::new());
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "source" | "sourceValue" if source.is_some() => {
                    return Err(wrong(self.file, key.at, "a replacement has either `source` or `sourceValue`"));
                }
                "source" => source = Some(self.source(value)?),
                "sourceValue" => source = Some(Source::Value(self.text(value)?.text)),
                "targets" => targets = self.each(value, Self::replacement_target)?,
                _ => {
                    let known = ["path", "source", "sourceValue", "targets"];
                    return Err(self.unknown(key, "replacements", &known, &[]));
                }
            }
        }
        match source {
            Some(source) if !targets.is_empty() => Ok(Replacement { at: node.at, source, targets }),
            _ => Err(wrong(self.file, node.at, "a replacement needs a `source` and `targets`")),
        }
    }

    fn source(&self, node: &Node) -> Result<Source> {
        let (mut path, mut options) = (String::new(), FieldOptions::default());
        let select = self.target_with(node, "replacements.source", &mut |key, value| {
            match key {
                "fieldPath" => path = self.text(value)?.text,
                "options" => options = self.field_options(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let path = if path.is_empty() { "metadata.name".to_owned() } else { path };
        Ok(Source::Field { select: Box::new(select), path, options })
    }

    fn replacement_target(&self, node: &Node) -> Result<ReplacementTarget> {
        let mut select = None;
        let mut target = ReplacementTarget {
            select: Target::default(),
            reject: Vec::new(),
            paths: Vec::new(),
            options: FieldOptions::default(),
        };
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "select" => select = Some(self.target(value, "replacements.targets.select")?),
                "reject" => {
                    target.reject =
                        self.each(value, |reader, node| reader.target(node, "replacements.targets.reject"))?;
                }
                "fieldPaths" => target.paths = self.texts(value)?,
                "options" => target.options = self.field_options(value)?,
                _ => {
                    let known = ["select", "reject", "fieldPaths", "options"];
                    return Err(self.unknown(key, "replacements.targets", &known, &[]));
                }
            }
        }
        target.select =
            select.ok_or_else(|| wrong(self.file, node.at, "a target of a replacement needs a `select`"))?;
        if target.paths.is_empty() {
            target.paths.push(Text { at: node.at, text: "metadata.name".to_owned() });
        }
        Ok(target)
    }

    fn field_options(&self, node: &Node) -> Result<FieldOptions> {
        let mut options = FieldOptions::default();
        const KNOWN: [&str; 4] = ["delimiter", "index", "create", "encoding"];
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "delimiter" => options.delimiter = self.text(value)?.text,
                "index" => {
                    let index = value.to_value().as_i64();
                    options.index = index.ok_or_else(|| wrong(self.file, value.at, "a number is expected here"))?;
                }
                "create" => options.create = self.boolean(value)?,
                _ => return Err(self.unknown(key, "replacements.options", &KNOWN, &["encoding"])),
            }
        }
        Ok(options)
    }
}
