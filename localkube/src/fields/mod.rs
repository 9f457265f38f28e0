//! Server-side apply: who owns which field, and the structured merge (KEP-555).

use serde_json::Value;

use crate::{schema::Schema, status::Status};

/// Who makes a change, as `metadata.managedFields` records it.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    /// The field manager's name.
    pub name: &'a str,
    /// The subresource written through, for example `status`.
    pub subresource: Option<&'a str>,
    /// The `apiVersion` of the request's object.
    pub api_version: &'a str,
}

/// Merges an applied configuration into the live object and records the ownership.
///
/// # Errors
/// 409 with every conflicting field and its manager, unless `force`.
pub fn apply(
    _schema: &Schema,
    _live: Option<&Value>,
    configuration: &Value,
    _manager: Manager<'_>,
    _force: bool,
    _now: jiff::Timestamp,
) -> Result<Value, Status> {
    Ok(configuration.clone())
}

/// Records who changed what between `live` and `object` by a create, an update or a patch that is not an apply.
pub fn track_update(
    _schema: &Schema,
    _live: Option<&Value>,
    _object: &mut Value,
    _manager: Manager<'_>,
    _now: jiff::Timestamp,
) {
}
