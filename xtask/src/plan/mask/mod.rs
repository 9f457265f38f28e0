//! What is secret in an object: hidden when it is shown, sealed when it is stored.
//!
//! Secret are the values of Secrets; what stands behind a name that tells of a credential, be it a variable's, a
//! field's, a flag's or one in a text; passwords in URLs; private keys; and what clients keep of these in annotations.

use std::ops::Range;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

mod known;
mod names;
mod text;

use crate::secrets::ORIGINS;

pub(crate) use known::Known;
pub(crate) use names::is_credential;

/// What stands for a secret value when it is shown.
pub(crate) const HIDDEN: &str = "(hidden)";

/// What a sealed value begins with; 32 hexadecimal digits follow. There is no character in it that ends a credential
/// in a text, so that sealing again finds the same.
const SEAL: &str = "sealed-";
const DIGITS: usize = 32;

/// Annotations that repeat whole objects.
const COPIES: [&str; 2] = ["kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original"];

/// Fields whose texts name things and are never credentials, however they look: `image: registry/token:1`.
const NAMING: [&str; 10] =
    ["apiVersion", "image", "imageID", "kind", "name", "namespace", "uid", "key", "resourceVersion", "mountPath"];

/// Fields below which every value names or selects something.
const SELECTING: [&str; 6] =
    ["labels", "matchLabels", "nodeSelector", "managedFields", "ownerReferences", "finalizers"];

/// Hides every secret value, for showing.
pub(crate) fn hide(object: &mut Value) {
    visit(object, &mut |_| HIDDEN.to_owned());
}

/// Puts a fingerprint in the place of every secret value, for storing. What is sealed already stays.
pub(crate) fn seal(object: &mut Value, salt: &str) {
    visit(object, &mut |part| if is_whole(part) { part.to_owned() } else { fingerprint(part, salt) });
}

/// What [`seal`] puts in the place of a value.
pub(crate) fn fingerprint(value: &str, salt: &str) -> String {
    let hash = hex::encode(Sha256::new().chain_update(salt).chain_update([0]).chain_update(value).finalize());
    format!("{SEAL}{}", &hash[..DIGITS])
}

/// Whether there is a fingerprint in a text.
pub(crate) fn is_sealed(text: &str) -> bool {
    sealed_at(text).is_some()
}

/// Shows a text with fingerprints as one with hidden parts.
pub(crate) fn conceal(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = sealed_at(rest) {
        shown.push_str(&rest[..at]);
        shown.push_str(HIDDEN);
        rest = &rest[at + SEAL.len() + DIGITS..];
    }
    shown + rest
}

/// Where the first fingerprint in a text is.
pub(crate) fn seal_in(text: &str) -> Option<Range<usize>> {
    sealed_at(text).map(|at| at..at + SEAL.len() + DIGITS)
}

fn is_whole(text: &str) -> bool {
    text.len() == SEAL.len() + DIGITS && sealed_at(text) == Some(0)
}

fn sealed_at(text: &str) -> Option<usize> {
    text.match_indices(SEAL).map(|(at, _)| at).find(|at| {
        let digits = text.as_bytes().get(at + SEAL.len()..at + SEAL.len() + DIGITS);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Calls `replace` for every secret part of an object and puts its answer there.
fn visit(object: &mut Value, replace: &mut dyn FnMut(&str) -> String) {
    if object["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            for value in object.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten().map(|(_, v)| v) {
                close(value, replace);
            }
        }
    }
    walk(object, replace);
}

fn walk(value: &mut Value, replace: &mut dyn FnMut(&str) -> String) {
    match value {
        Value::Object(fields) => {
            let named = fields.get("name").and_then(Value::as_str).is_some_and(is_credential);
            for (key, value) in fields {
                let key = key.as_str();
                match value {
                    Value::Object(_) if SELECTING.contains(&key) => {}
                    Value::Object(values) if key == "binaryData" => {
                        values.values_mut().for_each(|value| binary(value, replace));
                    }
                    Value::String(_) if COPIES.contains(&key) || (named && key == "value") => {
                        close_literal(value, replace);
                    }
                    Value::String(_) if NAMING.contains(&key) || key == ORIGINS => {}
                    Value::String(_) if is_credential(key) => close_literal(value, replace),
                    value => walk(value, replace),
                }
            }
        }
        Value::Array(items) => {
            for at in 0..items.len() {
                // `["--password", "hunter2"]`
                let flag = at.checked_sub(1).and_then(|before| items[before].as_str());
                if flag.is_some_and(|flag| flag.starts_with('-') && !flag.contains('=') && is_credential(flag))
                    && items[at].is_string()
                {
                    close_literal(&mut items[at], replace);
                } else {
                    walk(&mut items[at], replace);
                }
            }
        }
        Value::String(text) => {
            let found = text::secrets(text);
            for range in found.into_iter().rev() {
                let closed = replace(&text[range.clone()]);
                text.replace_range(range, &closed);
            }
        }
        _ => {}
    }
}

/// Replaces a whole value.
fn close(value: &mut Value, replace: &mut dyn FnMut(&str) -> String) {
    let closed = match *value {
        Value::String(ref text) => replace(text),
        ref other => replace(&other.to_string()),
    };
    *value = closed.into();
}

/// The same, unless it is empty or refers to another variable.
fn close_literal(value: &mut Value, replace: &mut dyn FnMut(&str) -> String) {
    let refers = |text: &str| text.is_empty() || (text.starts_with("$(") && text.find(')') == Some(text.len() - 1));
    if !value.as_str().is_some_and(refers) {
        close(value, replace);
    }
}

/// Base64 of a text with credentials.
fn binary(value: &mut Value, replace: &mut dyn FnMut(&str) -> String) {
    let bytes = value.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let text = bytes.as_deref().map(String::from_utf8_lossy);
    if text.is_some_and(|text| !text::secrets(&text).is_empty()) {
        close(value, replace);
    }
}

/// A text without what looks like a credential in it.
pub(crate) fn hide_in(text: &str) -> String {
    let mut value = Value::String(text.to_owned());
    hide(&mut value);
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
