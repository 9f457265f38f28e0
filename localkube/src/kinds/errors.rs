//! Broken rules, worded as `k8s.io/apimachinery/pkg/util/validation/field` words them.

use serde_json::Value;

use crate::status::{FieldError, FieldErrorKind};

/// `must be greater than or equal to 0`
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// `field is immutable`
pub(crate) const IMMUTABLE: &str = "field is immutable";

fn error(path: impl Into<String>, kind: FieldErrorKind, message: String) -> FieldError {
    FieldError { path: path.into(), kind, message }
}

fn with_detail(head: String, detail: &str) -> String {
    if detail.is_empty() { head } else { format!("{head}: {detail}") }
}

/// A field that must be there.
pub(crate) fn required(path: impl Into<String>, detail: &str) -> FieldError {
    error(path, FieldErrorKind::Required, with_detail("Required value".to_owned(), detail))
}

/// A value that breaks a rule; `null` stands for an absent one.
pub(crate) fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: &str) -> FieldError {
    error(path, FieldErrorKind::Invalid, with_detail(format!("Invalid value: {}", value.into()), detail))
}

/// A value that breaks a rule, spelled as the server's own types spell it.
pub(crate) fn raw_invalid(path: impl Into<String>, value: &str, detail: &str) -> FieldError {
    error(path, FieldErrorKind::Invalid, with_detail(format!("Invalid value: {value}"), detail))
}

/// A value outside a closed set; `supported` in the order in which the server lists it.
pub(crate) fn unsupported(path: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> FieldError {
    let list: Vec<String> = supported.iter().map(|one| format!("\"{one}\"")).collect();
    let message = format!("Unsupported value: {}: supported values: {}", value.into(), list.join(", "));
    error(path, FieldErrorKind::NotSupported, message)
}

/// Something that may not be there, or not changed.
pub(crate) fn forbidden(path: impl Into<String>, detail: &str) -> FieldError {
    error(path, FieldErrorKind::Forbidden, with_detail("Forbidden".to_owned(), detail))
}

/// A second one of what must be unique.
pub(crate) fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> FieldError {
    error(path, FieldErrorKind::Duplicate, format!("Duplicate value: {}", value.into()))
}

/// A second one, spelled as the server's own types spell it.
pub(crate) fn raw_duplicate(path: impl Into<String>, value: &str) -> FieldError {
    error(path, FieldErrorKind::Duplicate, format!("Duplicate value: {value}"))
}

/// A name that nothing has.
pub(crate) fn not_found(path: impl Into<String>, value: impl Into<Value>) -> FieldError {
    error(path, FieldErrorKind::NotFound, format!("Not found: {}", value.into()))
}

/// More bytes than allowed.
pub(crate) fn too_long(path: impl Into<String>, limit: usize) -> FieldError {
    error(path, FieldErrorKind::TooLong, format!("Too long: may not be more than {limit} bytes"))
}

/// Refuses a negative number; an absent one is fine.
pub(crate) fn not_negative(errors: &mut Vec<FieldError>, object: &Value, key: &str, path: &str) {
    if let Some(number) = object[key].as_i64().filter(|number| *number < 0) {
        errors.push(invalid(format!("{path}.{key}"), number, NOT_NEGATIVE));
    }
}

/// Refuses text outside a closed set; an absent field is an error when `or_absent` is false.
pub(crate) fn one_of(
    errors: &mut Vec<FieldError>,
    object: &Value,
    key: &str,
    path: &str,
    supported: &[&str],
    or_absent: bool,
) {
    let value = object[key].as_str().unwrap_or_default();
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if value.is_empty() {
        if !or_absent {
            errors.push(required(path, ""));
        }
    } else if !supported.contains(&value) {
        errors.push(unsupported(path, value, supported));
    }
}
