//! configMapGenerator and secretGenerator, and the hash of the content that ends up in the name.

use std::{fs, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    kustomization::{Generator, Kustomization},
    object::{Object, Source},
    reader::Text,
    yaml::wrong,
};
use crate::error::Result;

/// The objects that a kustomization generates, in kustomize's order.
///
/// # Errors
/// A file that cannot be read, a malformed literal or line, a key that comes twice.
pub(super) fn generate(kustomization: &Kustomization, directory: &Path) -> Result<Vec<Object>> {
    let maps = kustomization.config_maps.iter().map(|generator| (generator, false));
    let secrets = kustomization.secrets.iter().map(|generator| (generator, true));
    maps.chain(secrets).map(|(generator, secret)| object(kustomization, directory, generator, secret)).collect()
}

fn object(kustomization: &Kustomization, directory: &Path, generator: &Generator, secret: bool) -> Result<Object> {
    let (file, defaults, own) = (&kustomization.file, &kustomization.generator_options, &generator.options);
    let mut data = Map::new();
    let mut binary = Map::new();
    for (at, key, content) in contents(file, directory, generator)? {
        let (into, value) = match String::from_utf8(content) {
            _ if data.contains_key(&key) || binary.contains_key(&key) => {
                return Err(wrong(file, at.at, format_args!("the key `{key}` comes twice")));
            }
            Ok(text) if !secret => (&mut data, text),
            Ok(text) => (&mut data, STANDARD.encode(text)),
            Err(error) => (if secret { &mut data } else { &mut binary }, STANDARD.encode(error.as_bytes())),
        };
        into.insert(key, value.into());
    }
    let mut metadata = json!({"name": generator.name});
    if let Some(namespace) = &generator.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    for (field, defaults, own) in
        [("labels", &defaults.labels, &own.labels), ("annotations", &defaults.annotations, &own.annotations)]
    {
        let pairs: Map<String, Value> = defaults.clone().into_iter().chain(own.clone()).collect();
        if !pairs.is_empty() {
            metadata[field] = pairs.into();
        }
    }
    let mut value =
        json!({"apiVersion": "v1", "kind": if secret { "Secret" } else { "ConfigMap" }, "metadata": metadata});
    if secret {
        value["type"] = generator.kind.as_deref().unwrap_or("Opaque").into();
    }
    for (field, entries) in [("data", data), ("binaryData", binary)] {
        if !entries.is_empty() {
            value[field] = entries.into();
        }
    }
    if own.immutable.or(defaults.immutable) == Some(true) {
        value["immutable"] = true.into();
    }
    let source = Source { file: Arc::clone(file), at: generator.at, fields: Arc::default() };
    let mut object = Object::new(value, source);
    object.hashed = !own.disable_name_suffix_hash.or(defaults.disable_name_suffix_hash).unwrap_or(false);
    Ok(object)
}

/// Keys and contents in the order env files, files, literals.
fn contents<'text>(
    file: &str,
    directory: &Path,
    from: &'text Generator,
) -> Result<Vec<(&'text Text, String, Vec<u8>)>> {
    let read = |text: &Text, path: &str| {
        fs::read(directory.join(path))
            .map_err(|error| wrong(file, text.at, format_args!("cannot read {path}: {error}")))
    };
    let mut found = Vec::new();
    for env in &from.envs {
        let content = read(env, &env.text)?;
        let content =
            String::from_utf8(content).map_err(|_| wrong(file, env.at, format_args!("{} is not UTF-8", env.text)))?;
        for (number, line) in content.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A name without a value would take it from the environment of whoever renders.
            let (key, value) = line.split_once('=').ok_or_else(|| {
                wrong(file, env.at, format_args!("{}:{}: NAME=value is expected", env.text, number + 1))
            })?;
            found.push((env, key.to_owned(), value.as_bytes().to_owned()));
        }
    }
    for source in &from.files {
        let (key, path) = match source.text.split_once('=') {
            Some((key, path)) => (key.to_owned(), path),
            None => (source.text.rsplit('/').next().unwrap_or_default().to_owned(), source.text.as_str()),
        };
        found.push((source, key, read(source, path)?));
    }
    for literal in &from.literals {
        let (key, value) = literal
            .text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| wrong(file, literal.at, "a literal is written key=value"))?;
        found.push((literal, key.to_owned(), unquote(value).as_bytes().to_owned()));
    }
    Ok(found)
}

/// One pair of quotes around a literal's value belongs to the shell-like notation.
fn unquote(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

/// The suffix that changes with the content: ten characters, as kubectl and kustomize make it.
pub(super) fn hash(value: &Value) -> String {
    // kustomize looks the name up where there is none, so it never counts. A missing map counts as an empty string,
    // except binaryData and stringData, which count if they are there.
    let data = value.get("data").cloned().unwrap_or_else(|| "".into());
    let mut hashed = json!({"kind": value["kind"], "name": "", "data": data});
    if value["kind"] == "Secret" {
        hashed["type"] = value.get("type").cloned().unwrap_or_else(|| "".into());
    }
    for field in ["binaryData", "stringData"] {
        if let Some(map) = value.get(field).filter(|map| map.is_object()) {
            hashed[field] = map.clone();
        }
    }
    let mut text = hashed.to_string();
    // Go's JSON escapes these.
    for (character, escaped) in
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
    {
        text = text.replace(character, escaped);
    }
    let digest = hex::encode(Sha256::digest(text));
    // Vowels and what looks like them leave, so that no word comes out.
    digest[..10]
        .chars()
        .map(|digit| match digit {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}
