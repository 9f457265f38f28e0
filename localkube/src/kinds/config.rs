//! ConfigMaps and Secrets.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    errors::{IMMUTABLE, forbidden, invalid, required, too_long},
    names,
    value::{default_nonzero, entries, has, is_true, make, remove, text},
};
use crate::status::FieldError;

/// The most that a ConfigMap or a Secret may hold, in bytes.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Defaults of a Secret: its type, and plain text folded into the encoded data, which it overrides.
pub(super) fn secret_defaults(object: &mut Value) {
    if let Some(Value::Object(plain)) = remove(object, "stringData") {
        let data = make(object, "data");
        for (key, value) in plain {
            data[key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
        }
    }
    default_nonzero(object, "type", "Opaque");
}

/// The rules for a ConfigMap.
pub(super) fn validate_config_map(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    if let Some(old) = old.filter(|old| is_true(old, "immutable")) {
        locked(errors, object, old, &["data", "binaryData"]);
    }
    let mut size = 0;
    for (key, value) in entries(object, "data") {
        keys(errors, key, &format!("data[{key}]"));
        if has(&object["binaryData"], key) {
            errors.push(invalid(format!("data[{key}]"), key.as_str(), "duplicate of key present in binaryData"));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(object, "binaryData") {
        keys(errors, key, &format!("binaryData[{key}]"));
        size += decoded(value);
    }
    if size > SIZE_LIMIT {
        errors.push(too_long("", SIZE_LIMIT));
    }
}

/// The rules for a Secret.
pub(super) fn validate_secret(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        if object["type"] != old["type"] {
            errors.push(invalid("type", text(object, "type"), IMMUTABLE));
            // Whether the data fits a type that is refused anyway says nothing.
            return;
        }
        if is_true(old, "immutable") {
            locked(errors, object, old, &["data"]);
        }
    }
    let mut size = 0;
    for (key, value) in entries(object, "data") {
        keys(errors, key, &format!("data[{key}]"));
        size += decoded(value);
    }
    if size > SIZE_LIMIT {
        errors.push(too_long("data", SIZE_LIMIT));
    }
    let mut needs = |key: &str| {
        if !has(&object["data"], key) {
            errors.push(required(format!("data[{key}]"), ""));
        }
    };
    match text(object, "type") {
        "kubernetes.io/dockerconfigjson" => needs(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => needs(".dockercfg"),
        "kubernetes.io/ssh-auth" => needs("ssh-privatekey"),
        "kubernetes.io/tls" => {
            needs("tls.crt");
            needs("tls.key");
        }
        "kubernetes.io/basic-auth" => {
            let data = &object["data"];
            if !has(data, "username") && !has(data, "password") {
                needs("username");
                needs("password");
            }
        }
        "kubernetes.io/service-account-token" => {
            let account = "kubernetes.io/service-account.name";
            if text(&object["metadata"]["annotations"], account).is_empty() {
                errors.push(required(format!("metadata.annotations[{account}]"), ""));
            }
        }
        _ => {}
    }
    for key in [".dockerconfigjson", ".dockercfg"] {
        let encoded = text(&object["data"], key);
        let ours = text(object, "type") == format!("kubernetes.io/{}", &key[1..]);
        let bytes = STANDARD.decode(encoded).unwrap_or_default();
        if ours && !encoded.is_empty() && serde_json::from_slice::<Value>(&bytes).is_err() {
            errors.push(invalid(format!("data[{key}]"), "<secret contents redacted>", "must be valid JSON"));
        }
    }
}

fn keys(errors: &mut Vec<FieldError>, key: &str, path: &str) {
    errors.extend(names::config_key(key).iter().map(|wrong| invalid(path, key, wrong)));
}

fn decoded(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.len() / 4 * 3)
}

/// What is marked immutable can be deleted, not changed, and stays marked.
fn locked(errors: &mut Vec<FieldError>, object: &Value, old: &Value, data: &[&str]) {
    let detail = "field is immutable when `immutable` is set";
    if !is_true(object, "immutable") {
        errors.push(forbidden("immutable", detail));
    }
    for key in data {
        if object[*key] != old[*key] {
            errors.push(forbidden(*key, detail));
        }
    }
}
