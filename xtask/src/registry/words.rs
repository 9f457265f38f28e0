//! What errors say of a registry.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

/// What is being done when a registry is asked for something.
pub(super) fn asking(url: &str) -> String {
    format!("ask the registry for {url}")
}

/// The status and what the registry says beside it (distribution-spec, "Error Codes").
pub(super) fn said(response: &Response<Bytes>) -> String {
    const LIMIT: usize = 500;
    let errors: Option<Value> = serde_json::from_slice(response.body()).ok();
    let errors = errors.as_ref().and_then(|body| body["errors"].as_array()).cloned().unwrap_or_default();
    let words = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        format!("{} ({})", text("message"), text("code"))
    };
    let text = match errors.as_slice() {
        [] => String::from_utf8_lossy(response.body()).trim().to_owned(),
        errors => errors.iter().map(words).collect::<Vec<_>>().join(", "),
    };
    let text: String = text.chars().take(LIMIT).collect();
    if text.is_empty() { response.status().to_string() } else { format!("{}: {text}", response.status()) }
}
