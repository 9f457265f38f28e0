//! What the API server answers when it does not do what was asked: `metav1.Status`.

use serde_json::{Value, json};

use crate::resource::Resource;

/// A failure as the API server reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, for example `NotFound`; empty where the API server gives none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// What the failure is about: name, group, kind, causes.
    pub details: Option<Value>,
    /// What the client is warned of besides.
    pub warnings: Vec<String>,
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
    /// A failure without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, warnings: Vec::new() }
    }

    /// The same failure about something.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// 404 NotFound of an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.group_resource());
        Self::new(404, "NotFound", message).with_details(object_details(resource, name))
    }

    /// 409 AlreadyExists of an object.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.group_resource());
        Self::new(409, "AlreadyExists", message).with_details(object_details(resource, name))
    }

    /// 409 Conflict of a write with what is stored.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.group_resource());
        Self::new(409, "Conflict", message).with_details(object_details(resource, name))
    }

    /// 403 Forbidden of a request about an object.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.group_resource());
        Self::new(403, "Forbidden", message).with_details(object_details(resource, name))
    }

    /// 405 MethodNotAllowed.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with_details(json!({}))
    }

    /// 500 InternalError.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let details = json!({"causes": [{"message": message}]});
        Self::new(500, "InternalError", format!("Internal error occurred: {message}")).with_details(details)
    }

    /// The object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            value["details"] = details.clone();
        }
        value
    }

    /// 400 BadRequest.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 422 Invalid with every broken rule.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.kind.reason(), "message": error.message, "field": error.path}))
            .collect();
        let mut list: Vec<String> = Vec::new();
        for line in errors.iter().map(|error| format!("{}: {}", error.path, error.message)) {
            // The message says everything once; the causes are as often as they were found.
            if !list.contains(&line) {
                list.push(line);
            }
        }
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
            warnings: Vec::new(),
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

/// What failures about an object carry: its resource, group and name.
pub fn object_details(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    if !name.is_empty() {
        details["name"] = name.into();
    }
    details
}
