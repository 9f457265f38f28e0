//! What the API server answers when it does not do what was asked: `metav1.Status`.

use serde_json::{Value, json};

/// A failure as the API server reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, for example `NotFound`.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// What the failure is about: name, group, kind, causes.
    pub details: Option<Value>,
}

/// What is wrong with one field, as `k8s.io/apimachinery/pkg/util/validation/field` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `FieldValueNotFound`
    NotFound,
    /// `InternalError`
    Internal,
}

/// One broken rule of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// The path, for example `spec.template.spec.containers[0].image`.
    pub path: String,
    /// The kind of the mistake.
    pub kind: FieldErrorKind,
    /// The message as causes carry it, for example `Invalid value: -1: must be greater than or equal to 0`.
    pub message: String,
}

impl Status {
    /// 400 BadRequest.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into(), details: None }
    }

    /// 422 Invalid with every broken rule.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.kind.reason(), "message": error.message, "field": error.path}))
            .collect();
        let mut list: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        list.dedup();
        let all = if list.len() == 1 { list.remove(0) } else { format!("[{}]", list.join(", ")) };
        let mut details = json!({"kind": kind, "causes": causes});
        if !group.is_empty() {
            details["group"] = group.into();
        }
        if !name.is_empty() {
            details["name"] = name.into();
        }
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{subject} \"{name}\" is invalid: {all}"),
            details: Some(details),
        }
    }
}

impl FieldErrorKind {
    /// The reason as `details.causes` carries it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }
}
