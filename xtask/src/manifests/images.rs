//! `images`: other names, tags and digests in every container.

use regex_lite::Regex;
use serde_json::Value;

use super::{
    field::visit,
    kustomization::Image,
    object::Object,
    transform::{split_image, visit_images},
    yaml::wrong,
};
use crate::error::Result;

/// Fields that hold images, of any kind; `containers` and `initContainers` are looked for everywhere besides.
const FIELDS: [&str; 6] = [
    "spec containers[] image",
    "spec initContainers[] image",
    "spec volumes[] image reference",
    "spec template spec containers[] image",
    "spec template spec initContainers[] image",
    "spec template spec volumes[] image reference",
];

/// Applies one entry of `images`.
///
/// # Errors
/// The name is a regular expression to kustomize, and this is none.
pub(super) fn apply(objects: &mut [Object], image: &Image, file: &str) -> Result<()> {
    let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = Regex::new(&pattern)
        .map_err(|error| wrong(file, image.at, format_args!("not a regular expression: {error}")))?;
    let mut replace = |found: &mut String| {
        if pattern.is_match(found) {
            *found = replacement(image, found);
        }
    };
    for object in objects.iter_mut().filter(|object| object.kind() != "CustomResourceDefinition") {
        visit_images(&mut object.value, &mut replace);
        // Twice, as kustomize does it: a `tagSuffix` shows it.
        for path in FIELDS {
            visit(&mut object.value, &path.split(' ').collect::<Vec<_>>(), false, &mut |found| {
                if let Value::String(found) = found {
                    replace(found);
                }
            });
        }
    }
    Ok(())
}

fn replacement(image: &Image, found: &str) -> String {
    let (name, rest) = split_image(found);
    let (tag, digest) = rest.split_once('@').unwrap_or((rest, ""));
    let tag = tag.trim_start_matches(':');
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (tag, digest) = match (given(&image.new_tag), given(&image.digest), given(&image.tag_suffix)) {
        (Some(tag), digest, _) => (tag, digest.unwrap_or_default()),
        (None, Some(digest), _) => (String::new(), digest),
        (None, None, Some(suffix)) => (format!("{tag}{suffix}"), String::new()),
        (None, None, None) => (tag.to_owned(), digest.to_owned()),
    };
    let mut new = given(&image.new_name).unwrap_or_else(|| name.to_owned());
    for (separator, part) in [(':', tag), ('@', digest)] {
        if !part.is_empty() {
            new.push(separator);
            new.push_str(&part);
        }
    }
    new
}
