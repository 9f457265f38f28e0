//! What each kind adds to the generic object: defaults, validation, what a write may change, admission.

use serde_json::Value;

use crate::{resource::Resource, status::FieldError};

/// Fills in what the API server fills in for fields that were left out.
pub fn set_defaults(_resource: &Resource, _object: &mut Value) {}

/// Readies an object for creation: status and generation as the kind's strategy sets them.
pub fn prepare_create(_resource: &Resource, _object: &mut Value) {}

/// Readies an object for an update through the main resource or a subresource: what the path may not change is
/// restored from `old`, and the generation grows with the specification.
pub fn prepare_update(_resource: &Resource, _subresource: Option<&str>, _object: &mut Value, _old: &Value) {}

/// Every rule that the object breaks; `old` is there on an update.
pub fn validate(
    _resource: &Resource,
    _subresource: Option<&str>,
    _object: &Value,
    _old: Option<&Value>,
) -> Vec<FieldError> {
    Vec::new()
}
