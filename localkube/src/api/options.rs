//! The options of requests as they come in the query, checked as the API server checks them.

use serde_json::json;

use super::request::Query;
use crate::{
    schema::FieldValidation,
    status::{FieldError, FieldErrorKind, Status},
};

/// What a list or watch may say about the resourceVersion it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The newest.
    Newest,
    /// Not older than this.
    AtLeast(u64),
    /// As of this.
    Exact(u64),
}

/// Whether nothing is to be stored.
pub(super) fn dry_run(query: &Query, kind: &str) -> Result<bool, Status> {
    let values: Vec<&str> = query
        .0
        .iter()
        .filter(|(key, value)| key == "dryRun" && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .collect();
    if values.iter().any(|value| *value != "All") {
        let list = values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(",");
        return Err(not_supported(kind, "dryRun", &format!("[{list}]"), &["All"]));
    }
    Ok(!values.is_empty())
}

/// What becomes of unknown and duplicate fields.
pub(super) fn field_validation(query: &Query, kind: &str) -> Result<FieldValidation, Status> {
    match query.get("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some(other) => {
            Err(not_supported(kind, "fieldValidation", &format!("{other:?}"), &["", "Ignore", "Strict", "Warn"]))
        }
    }
}

/// The manager's name as the client gave it.
pub(super) fn field_manager(query: &Query, kind: &str) -> Result<(), Status> {
    let Some(name) = query.get("fieldManager") else { return Ok(()) };
    if name.chars().count() > 128 {
        return Err(invalid(kind, "fieldManager", FieldErrorKind::TooLong, "Too long: may not be more than 128 bytes"));
    }
    if let Some(bad) = name.chars().find(|character| character.is_control()) {
        let message = format!("Invalid value: {name:?}: should only contain printable characters: found {bad:?}");
        return Err(invalid(kind, "fieldManager", FieldErrorKind::Invalid, &message));
    }
    Ok(())
}

/// `limit`; none for no limit.
pub(super) fn limit(query: &Query) -> Result<Option<usize>, Status> {
    Ok(integer(query, "limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0))
}

/// A whole number in the query.
pub(super) fn integer(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    query.get(name).map(str::parse).transpose().map_err(|_| {
        let text = query.get(name).unwrap_or_default();
        Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    })
}

/// `resourceVersion` and `resourceVersionMatch` of a list.
pub(super) fn list_version(query: &Query) -> Result<Version, Status> {
    let given = query.get("resourceVersion");
    let matching = query.get("resourceVersionMatch");
    if let Some(matching) = matching {
        let forbidden =
            |message: &str| invalid("ListOptions", "resourceVersionMatch", FieldErrorKind::Forbidden, message);
        if given.is_none() {
            return Err(forbidden("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if query.get("continue").is_some() {
            return Err(forbidden("Forbidden: resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            let supported = ["Exact", "NotOlderThan", ""];
            return Err(not_supported("ListOptions", "resourceVersionMatch", &format!("{matching:?}"), &supported));
        }
        if matching == "Exact" && given == Some("0") {
            let message = "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            return Err(forbidden(message));
        }
    }
    let Some(text) = given else { return Ok(Version::Newest) };
    if query.get("continue").is_some() && text != "0" {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    let revision = revision(text).map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;
    Ok(match matching {
        Some("Exact") => Version::Exact(revision),
        // Without a match, a limit asks for the exact version (unless it is "0").
        None if revision != 0 && query.get("limit").is_some() => Version::Exact(revision),
        _ => Version::AtLeast(revision),
    })
}

/// A resourceVersion as text, with Go's words for a bad one.
pub(super) fn revision(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
    })
}

/// 422 of an options object.
pub(super) fn invalid(kind: &str, field: &str, error: FieldErrorKind, message: &str) -> Status {
    let error = FieldError { path: field.to_owned(), kind: error, message: message.to_owned() };
    Status::invalid("meta.k8s.io", kind, "", &[error])
}

/// 422 of an option with a value from a closed set.
pub(super) fn not_supported(kind: &str, field: &str, value: &str, supported: &[&str]) -> Status {
    let supported = supported.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
    let message = format!("Unsupported value: {value}: supported values: {supported}");
    invalid(kind, field, FieldErrorKind::NotSupported, &message)
}

/// 504: the client has seen a resourceVersion that this server has not.
pub(super) fn too_large_version(asked: u64, newest: u64) -> Status {
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    Status::new(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {newest}"))
        .with_details(json!({"causes": [cause], "retryAfterSeconds": 1}))
}
