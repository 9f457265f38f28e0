//! A kustomization file out of its YAML.

use std::sync::Arc;

use super::{BuildMetadata, Kustomization, Replacement, Replacements, Sort};
use crate::{
    error::{Error, Result},
    manifests::{
        reader::Reader,
        yaml::{Data, Key, Node, parse, wrong},
    },
};

/// The fields that are rendered.
const FIELDS: [&str; 23] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "replicas",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "replacements",
    "sortOptions",
    "buildMetadata",
];

/// Fields of kustomize (v5) that are not rendered here.
const UNSUPPORTED: [&str; 12] = [
    "configurations",
    "crds",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "imageTags",
    "inventory",
    "openapi",
    "transformers",
    "validators",
    "vars",
];

/// Reads a kustomization.
///
/// # Errors
/// `FILE:LINE:COLUMN:` and what is wrong, unknown or not supported there.
pub(in crate::manifests) fn read(file: &Arc<str>, text: &str) -> Result<Kustomization> {
    let documents = parse(file, text)?;
    let [root] = &documents[..] else {
        let found = documents.len();
        return Err(Error::usage(format!("{file}: a kustomization is one YAML document, this holds {found}")));
    };
    let mut kustomization = Kustomization { file: Arc::clone(file), ..Kustomization::default() };
    let reader = Reader { file };
    let mut api_version = None;
    let mut empty = true;
    for (key, node) in reader.entries(root)? {
        match key.text.as_str() {
            "apiVersion" => api_version = Some(reader.text(node)?),
            "kind" => {
                let kind = reader.text(node)?;
                kustomization.component = kind.text == "Component";
                if !kustomization.component && !kind.text.is_empty() {
                    reader.constant(node, "Kustomization")?;
                }
            }
            "metadata" => empty = false,
            _ => {
                // An empty field is one that is not there, as kustomize takes it.
                if !reader.field(&mut kustomization, key, node)? {
                    let known: Vec<&str> = FIELDS.into_iter().chain(UNSUPPORTED).collect();
                    return Err(reader.unknown(key, "", &known, &UNSUPPORTED));
                }
                empty &= node.is_null();
            }
        }
    }
    let version = if kustomization.component { "v1alpha1" } else { "v1beta1" };
    if let Some(found) = api_version.filter(|found| !found.text.is_empty())
        && found.text != format!("kustomize.config.k8s.io/{version}")
    {
        let what = format!("`{}` is not supported, only `kustomize.config.k8s.io/{version}`", found.text);
        return Err(wrong(file, found.at, what));
    }
    if empty {
        return Err(wrong(file, root.at, "the kustomization is empty"));
    }
    Ok(kustomization)
}

/// Reads a file of replacements: one, or a list of them.
///
/// # Errors
/// `FILE:LINE:COLUMN:` and what is wrong, unknown or not supported there.
pub(in crate::manifests) fn replacements(file: &str, text: &str) -> Result<Vec<Replacement>> {
    let reader = Reader { file };
    let mut found = Vec::new();
    for document in parse(file, text)? {
        match &document.data {
            Data::List(items) => {
                for item in items {
                    found.push(reader.replacement(item)?);
                }
            }
            _ => found.push(reader.replacement(&document)?),
        }
    }
    Ok(found)
}

impl Reader<'_> {
    fn field(&self, into: &mut Kustomization, key: &Key, node: &Node) -> Result<bool> {
        match key.text.as_str() {
            "resources" | "bases" => into.resources.extend(self.texts(node)?),
            "components" => into.components = self.texts(node)?,
            "namespace" => into.namespace = Some(self.text(node)?.text),
            "namePrefix" => into.name_prefix = self.text(node)?.text,
            "nameSuffix" => into.name_suffix = self.text(node)?.text,
            "commonLabels" => into.common_labels = self.pairs(node)?,
            "labels" => into.labels = self.each(node, Self::labels)?,
            "commonAnnotations" => into.common_annotations = self.pairs(node)?,
            "images" => into.images = self.each(node, Self::image)?,
            "replicas" => into.replicas = self.each(node, Self::replicas)?,
            "patches" => into.patches = self.each(node, |reader, node| reader.patch(node, "patches"))?,
            "patchesStrategicMerge" => into.strategic_patches = self.texts(node)?,
            "patchesJson6902" => {
                into.json_patches = self.each(node, |reader, node| reader.patch(node, "patchesJson6902"))?;
            }
            "configMapGenerator" => into.config_maps = self.each(node, |reader, node| reader.generator(node, false))?,
            "secretGenerator" => into.secrets = self.each(node, |reader, node| reader.generator(node, true))?,
            "generatorOptions" => into.generator_options = self.generator_options(node)?,
            "replacements" => into.replacements = self.each(node, Self::replacements)?,
            "sortOptions" => into.sort = self.sort(node)?,
            "buildMetadata" => into.build_metadata = self.build_metadata(node)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn replacements(&self, node: &Node) -> Result<Replacements> {
        let [(key, value)] = self.entries(node)? else {
            return Ok(Replacements::Inline(Box::new(self.replacement(node)?)));
        };
        if key.text == "path" {
            return Ok(Replacements::Path(self.text(value)?));
        }
        Ok(Replacements::Inline(Box::new(self.replacement(node)?)))
    }

    fn build_metadata(&self, node: &Node) -> Result<BuildMetadata> {
        let mut found = BuildMetadata::default();
        for word in self.texts(node)? {
            match word.text.as_str() {
                "managedByLabel" => found.managed_by = true,
                "originAnnotations" => found.origin = true,
                other => {
                    let what =
                        format!("`buildMetadata: {other}` is not supported, only managedByLabel and originAnnotations");
                    return Err(wrong(self.file, word.at, what));
                }
            }
        }
        Ok(found)
    }

    fn sort(&self, node: &Node) -> Result<Sort> {
        let (mut order, mut lists) = (None, None);
        for (key, value) in self.entries(node)? {
            match key.text.as_str() {
                "order" => order = Some(self.text(value)?),
                "legacySortOptions" if !value.is_null() => {
                    let (mut first, mut last) = (Vec::new(), Vec::new());
                    for (key, value) in self.entries(value)? {
                        let kinds = self.texts(value)?.into_iter().map(|kind| kind.text).collect();
                        match key.text.as_str() {
                            "orderFirst" => first = kinds,
                            "orderLast" => last = kinds,
                            _ => return Err(self.unknown(key, "legacySortOptions", &["orderFirst", "orderLast"], &[])),
                        }
                    }
                    lists = Some((key.at, first, last));
                }
                "legacySortOptions" => {}
                _ => return Err(self.unknown(key, "sortOptions", &["order", "legacySortOptions"], &[])),
            }
        }
        match (order.as_ref().map(|order| order.text.as_str()), lists) {
            (Some("fifo"), None) => Ok(Sort::Written),
            (Some("fifo"), Some((at, ..))) => {
                Err(wrong(self.file, at, "`legacySortOptions` is for the order `legacy`"))
            }
            (Some("legacy"), Some((_, first, last))) => Ok(Sort::Kinds { first, last }),
            (Some("legacy"), None) => Ok(Sort::Default),
            _ => Err(wrong(self.file, order.map_or(node.at, |order| order.at), "the order is `legacy` or `fifo`")),
        }
    }
}
