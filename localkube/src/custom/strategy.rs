//! What a write of a custom object may change, and what it must keep to.

use serde_json::{Value, json};

use super::{Custom, lists::duplicates, paths::error};
use crate::{
    resource::Resource,
    status::{FieldError, FieldErrorKind},
};

/// Readies a new object.
pub(crate) fn create(custom: &Custom, object: &mut Value) {
    if let Some(fields) = object.as_object_mut().filter(|_| custom.status) {
        fields.remove("status");
    }
    object["metadata"]["generation"] = 1.into();
}

/// Readies a changed object: the status through its subresource alone, the rest without it, and the generation with
/// all that is neither.
pub(crate) fn update(custom: &Custom, subresource: Option<&str>, object: &mut Value, old: &Value) {
    if subresource == Some("status") {
        let status = object.get("status").cloned();
        let metadata = object["metadata"].take();
        *object = old.clone();
        for name in ["managedFields", "resourceVersion"] {
            match metadata.get(name) {
                Some(value) => object["metadata"][name] = value.clone(),
                None => put(&mut object["metadata"], name, None),
            }
        }
        put(object, "status", status);
    } else if custom.status {
        put(object, "status", old.get("status").cloned());
    }
    let before = old["metadata"]["generation"].as_i64().unwrap_or(1);
    let counted = |object: &Value| {
        let mut object = object.clone();
        for name in ["metadata", "status"].into_iter().filter(|name| *name == "metadata" || custom.status) {
            put(&mut object, name, None);
        }
        object
    };
    let grown = i64::from(subresource != Some("status") && counted(object) != counted(old));
    object["metadata"]["generation"] = json!(before + grown);
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// Every rule that an object breaks, in the order in which the server reports them. `names`: what is wrong with its
/// metadata.
pub(crate) fn validate(
    resource: &Resource,
    custom: &Custom,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
    names: Vec<FieldError>,
) -> Vec<FieldError> {
    let schema = &custom.openapi;
    let mut errors = kind(resource, object);
    if errors.is_empty() {
        errors.extend(names);
        errors.extend(custom.patterns.check(schema, object, old));
        if let Some(scale) = &custom.scale {
            errors.extend(scale.errors(object, subresource == Some("status")));
        }
    }
    duplicates(schema, object, old, "", &mut errors);
    if errors.iter().any(|error| blocks(error.kind)) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                   complete validation";
        errors.push(error("", FieldErrorKind::Invalid, format!("Invalid value: null: {why}")));
    } else {
        errors.extend(custom.rules.check(schema, object, old));
    }
    errors
}

fn kind(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let given = object["kind"].as_str().unwrap_or_default();
    if given == resource.kind {
        return Vec::new();
    }
    vec![error("kind", FieldErrorKind::Invalid, format!("Invalid value: \"{given}\": must be {}", resource.kind))]
}

/// Mistakes after which rules could not be trusted.
fn blocks(kind: FieldErrorKind) -> bool {
    matches!(
        kind,
        FieldErrorKind::NotSupported
            | FieldErrorKind::Required
            | FieldErrorKind::TooLong
            | FieldErrorKind::TooMany
            | FieldErrorKind::TypeInvalid
    )
}
