//! configMapGenerator and secretGenerator, and the hash of the content that ends up in the name.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    files::Scope,
    kustomization::{Behavior, Generator, Kustomization},
    object::{Object, Source},
    origin::Origin,
    reader::Text,
    yaml::wrong,
};
use crate::error::Result;

/// Adds the objects that a kustomization generates, or merges them into those that are there.
///
/// # Errors
/// A file that cannot be read, a malformed literal or line, a key that comes twice, an object that is there or is not
/// against the `behavior`.
pub(super) fn generate(
    objects: &mut Vec<Object>,
    kustomization: &Kustomization,
    scope: &Scope<'_>,
    origin: Option<&Origin>,
) -> Result<()> {
    let maps = kustomization.config_maps.iter().map(|generator| (generator, false));
    let secrets = kustomization.secrets.iter().map(|generator| (generator, true));
    for (generator, secret) in maps.chain(secrets) {
        let mut object = object(kustomization, scope, generator, secret)?;
        if let Some(origin) = origin {
            origin.of_generator(&mut object.value, &kustomization.file);
        }
        absorb(objects, object, generator, &kustomization.file)?;
    }
    Ok(())
}

fn absorb(objects: &mut Vec<Object>, mut made: Object, generator: &Generator, file: &str) -> Result<()> {
    let identity = made.identity();
    let there: Vec<usize> =
        (0..objects.len()).filter(|&index| objects[index].identities().any(|found| found == identity)).collect();
    let reference = made.reference();
    let old = match (&there[..], generator.behavior) {
        ([], Behavior::Create) => {
            objects.push(made);
            return Ok(());
        }
        ([], _) => return Err(wrong(file, generator.at, format_args!("there is no {reference} to merge or replace"))),
        ([index], Behavior::Create) => {
            let first = objects[*index].position();
            return Err(wrong(file, generator.at, format_args!("{reference} is there already, from {first}"))
                .hint("set `behavior` to merge or replace"));
        }
        ([index], _) => &mut objects[*index],
        _ => return Err(wrong(file, generator.at, format_args!("there are several {reference}"))),
    };
    let mut fields = vec!["data", "binaryData"];
    fields.retain(|_| generator.behavior == Behavior::Merge);
    for field in fields {
        inherit(&mut made.value[field], &old.value[field]);
    }
    let metadata = &mut made.value["metadata"];
    for field in ["labels", "annotations"] {
        inherit(&mut metadata[field], &old.value["metadata"][field]);
    }
    if generator.behavior == Behavior::Merge {
        Origin::keep(&mut made.value, &old.value);
    }
    let metadata = &mut made.value["metadata"];
    metadata["name"] = old.name().into();
    metadata["namespace"] = old.namespace().map_or(Value::Null, Into::into);
    without_nulls(metadata);
    without_nulls(&mut made.value);
    (made.former, made.prefixes, made.suffixes) = (old.former.clone(), old.prefixes.clone(), old.suffixes.clone());
    made.hashed &= old.hashed;
    *old = made;
    Ok(())
}

fn without_nulls(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// Adds the pairs that are not there yet.
fn inherit(pairs: &mut Value, old: &Value) {
    let Some(old) = old.as_object().filter(|old| !old.is_empty()) else { return };
    let mut merged = old.clone();
    merged.extend(pairs.as_object().cloned().unwrap_or_default());
    *pairs = merged.into();
}

fn object(kustomization: &Kustomization, scope: &Scope<'_>, generator: &Generator, secret: bool) -> Result<Object> {
    let (file, defaults, own) = (&kustomization.file, &kustomization.generator_options, &generator.options);
    let mut data = Map::new();
    let mut binary = Map::new();
    for (at, key, content) in contents(file, scope, generator)? {
        let (into, value) = match String::from_utf8(content) {
            _ if data.contains_key(&key) || binary.contains_key(&key) => {
                return Err(wrong(file, at.at, format_args!("the key `{key}` comes twice")));
            }
            Ok(text) if !secret => (&mut data, text),
            Ok(text) => (&mut data, encode(text.as_bytes())),
            Err(error) => (if secret { &mut data } else { &mut binary }, encode(error.as_bytes())),
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
        // A Secret has its data even if there is none.
        if !entries.is_empty() || (secret && field == "data") {
            value[field] = entries.into();
        }
    }
    if own.immutable || defaults.immutable {
        value["immutable"] = true.into();
    }
    let source = Source { file: Arc::clone(file), at: Some(generator.at), fields: Arc::default() };
    let mut object = Object::new(value, source);
    object.hashed = !(own.disable_name_suffix_hash || defaults.disable_name_suffix_hash);
    Ok(object)
}

/// Base64 in lines, as kustomize writes it; a value of one line has no end of line.
fn encode(content: &[u8]) -> String {
    const LINE: usize = 70;
    let text = STANDARD.encode(content);
    if text.len() < LINE {
        return text;
    }
    text.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}

/// Keys and contents in the order env files, files, literals.
fn contents<'text>(
    file: &str,
    scope: &Scope<'_>,
    from: &'text Generator,
) -> Result<Vec<(&'text Text, String, Vec<u8>)>> {
    let read = |text: &Text, path: &str| scope.read(path).map_err(|what| wrong(file, text.at, what));
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
            Some((key, path)) if key.is_empty() || path.is_empty() || path.contains('=') => {
                return Err(wrong(file, source.at, "a file is written path, or key=path"));
            }
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
