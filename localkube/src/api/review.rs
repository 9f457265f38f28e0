//! Questions that are answered and not stored: who am I, may I.

use axum::response::Response;
use serde_json::{Value, json};

use super::{negotiate::body_format, options, request::Call, respond};
use crate::{schema, status::Status};

/// POST of a review.
pub(super) fn create(call: &Call) -> Result<Response, Status> {
    let validation = options::field_validation(&call.query, "CreateOptions")?;
    let decoded = schema::decode(&call.resource, &call.body, body_format(&call.headers)?, validation)?;
    let mut object = decoded.object;
    object["kind"] = call.resource.kind.as_str().into();
    object["apiVersion"] = call.resource.api_version().into();
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["status"] = status(call, &object);
    respond::object(call, 201, object, &decoded.warnings)
}

/// There is one user, who may do everything.
fn status(call: &Call, object: &Value) -> Value {
    match call.resource.kind.as_str() {
        "SelfSubjectReview" => json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "TokenReview" => json!({"user": {}}),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let groups = object["spec"]["groups"].as_array().cloned().unwrap_or_default();
            json!({"allowed": object["spec"]["user"] == call.user.name || groups.contains(&json!("system:masters"))})
        }
        _ => json!({"allowed": true}),
    }
}
