//! The schemas of the built-in kinds: field types, list types and keys, patch merge keys; and strict decoding by them.

use serde_json::Value;

use crate::{resource::Resource, status::Status};

/// The shape of one kind's objects.
#[derive(Debug)]
pub struct Schema {}

/// What `fieldValidation` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Unknown and duplicate fields are refused.
    Strict,
    /// They are dropped and reported in Warning headers.
    Warn,
    /// They are dropped.
    Ignore,
}

/// How a request body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// application/json
    Json,
    /// application/yaml
    Yaml,
}

/// A request body that fits its kind.
#[derive(Debug)]
pub struct Decoded {
    /// The object, without unknown fields.
    pub object: Value,
    /// What to send in Warning headers.
    pub warnings: Vec<String>,
}

/// The schema of a built-in kind.
pub fn of(_resource: &Resource) -> Option<&'static Schema> {
    None
}

/// Reads a request body as an object of the resource's kind.
///
/// # Errors
/// 400, worded as the API server words it.
pub fn decode(
    _resource: &Resource,
    body: &[u8],
    _format: Format,
    _validation: FieldValidation,
) -> Result<Decoded, Status> {
    let object = serde_json::from_slice(body).map_err(|error| Status::bad_request(error.to_string()))?;
    Ok(Decoded { object, warnings: Vec::new() })
}
