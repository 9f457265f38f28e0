//! Which kind of patch a request is, and what goes with it.

use super::{
    negotiate::{content_type, unsupported_body},
    options,
    request::Call,
};
use crate::status::{FieldErrorKind, Status};

/// The kinds of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// What the body is by its media type.
pub(super) fn patch_type(call: &Call) -> Result<PatchType, Status> {
    Ok(match content_type(&call.headers) {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" if call.resource.custom.is_none() => PatchType::Strategic,
        "application/strategic-merge-patch+json" => {
            let accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(unsupported_body(accepted));
        }
        "application/apply-patch+yaml" => PatchType::Apply,
        _ => {
            let status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
            return Err(status.with_details(serde_json::json!({})));
        }
    })
}

/// Whether conflicts are forced; an apply has to say who applies.
pub(super) fn check_patch_options(call: &Call, patch_type: PatchType) -> Result<bool, Status> {
    options::field_manager(&call.query, "PatchOptions")?;
    let forced = call.query.get("force").is_some();
    if patch_type == PatchType::Apply {
        if call.query.get("fieldManager").is_none() {
            let message = "Required value: is required for apply patch";
            return Err(options::invalid("PatchOptions", "fieldManager", FieldErrorKind::Required, message));
        }
    } else if forced {
        let message = "Forbidden: may not be specified for non-apply patch";
        return Err(options::invalid("PatchOptions", "force", FieldErrorKind::Forbidden, message));
    }
    Ok(call.query.flag("force"))
}
