//! What the API server refuses, told by the line of the manifest.

use kube::{
    Client,
    core::{Status, response::StatusCause},
};
use serde_json::Value;

use super::{ObjectRef, Options, fields, mask::Known, request};
use crate::{
    error::{Error, Place},
    manifests::Object,
};

/// An error for an object that the API server did not take.
pub(crate) async fn refused(
    client: &Client,
    written: &Object,
    desired: &Value,
    object: &ObjectRef,
    doing: &str,
    error: &kube::Error,
) -> Error {
    let kube::Error::Api(status) = error else { return request::failed(format!("{doing} {object}"), error) };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let refusal = Refusal { written, desired, object, doing };
    if causes.iter().any(|cause| cause.reason == "FieldManagerConflict") {
        return refusal.conflict(status);
    }
    let unknown = unknown_fields(&status.message);
    if !unknown.is_empty() {
        return refusal.unknown(&unknown, fields::description(client, object).await.as_ref());
    }
    if !causes.is_empty() {
        let mut error = Error::failed(format!("{doing} {object}: the API server refuses it"));
        for cause in causes {
            error = refusal.place(error, &cause.field, &format!("{}: {}", cause.field, cause.message));
        }
        return error;
    }
    Error::failed(format!("{doing} {object} ({})", written.position())).cause(&status.message)
}

/// An error without the secret values that the server quotes in it.
pub(crate) fn scrubbed(mut error: Error, known: &Known) -> Error {
    let Error { message, causes, places, .. } = &mut error;
    let texts = causes.iter_mut().chain([message]).chain(places.iter_mut().map(|place| &mut place.message));
    texts.for_each(|text| *text = known.scrub(text));
    error
}

/// Whether an apply meets fields of this manager and of no other.
pub(super) fn conflicts_only_with(error: &kube::Error, manager: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let whose = format!("conflict with \"{manager}\"");
    !causes.is_empty()
        && causes.iter().all(|cause| cause.reason == "FieldManagerConflict" && cause.message.starts_with(&whose))
}

/// How API servers word that a field of an object stays what it was created with. There is no reason code for it: the
/// reason is `FieldValueInvalid` or `FieldValueForbidden`, as for any other wrong value.
const IMMUTABLE: [&str; 8] = [
    "field is immutable",
    "is immutable after creation",
    "may not change once set",
    "cannot change roleRef",
    "for fields other than",
    "may not change fields other than",
    // StorageClass and PriorityClass.
    "are forbidden.",
    "may not be changed in an update",
];

fn is_worded(cause: &StatusCause) -> bool {
    IMMUTABLE.iter().any(|words| cause.message.contains(words))
}

/// Whether a refusal is about values of the object, so that the object may have to be created anew.
pub(super) fn may_be_immutable(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.code == 422
        && !causes.is_empty()
        && causes.iter().all(|cause| {
            matches!(cause.reason.as_str(), "FieldValueInvalid" | "FieldValueForbidden")
                && !cause.field.starts_with("metadata.")
        })
}

/// Whether the server says in its own words that the object would have to be created anew.
pub(super) fn is_immutable(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    may_be_immutable(error) && causes.iter().all(is_worded)
}

/// Whether an object may be deleted and created again.
///
/// # Errors
/// It may not: which field is the cause, and how to allow it.
pub(super) fn may_replace(
    options: &Options,
    written: &Object,
    object: &ObjectRef,
    desired: &Value,
    error: &kube::Error,
) -> Result<(), Error> {
    if options.allow_replace && options.unprotected.admits(object) {
        return Ok(());
    }
    let kube::Error::Api(status) = error else { return Ok(()) };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let refusal = Refusal { written, desired, object, doing: "plan" };
    let mut refused = Error::failed(format!("plan {object}: it would have to be deleted and created again"));
    for cause in causes {
        let why = if is_worded(cause) { " cannot be changed".to_owned() } else { format!(": {}", cause.message) };
        refused = refusal.place(refused, &cause.field, &format!("{}{why}", cause.field));
    }
    let flags = if options.unprotected.admits(object) {
        "--allow-replace".to_owned()
    } else {
        format!("--allow-replace --prune-protected {}, which deletes what it holds", object.kind)
    };
    Err(refused.hint(format!("change it back, give the object another name, or allow it: cargo xtask deploy {flags}")))
}

struct Refusal<'a> {
    written: &'a Object,
    desired: &'a Value,
    object: &'a ObjectRef,
    doing: &'a str,
}

impl Refusal<'_> {
    fn conflict(&self, status: &Status) -> Error {
        let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
        let conflicts: Vec<(&str, &str)> = causes
            .iter()
            .map(|cause| {
                // `conflict with "kubectl" using apps/v1`: the manager is in the first quotes.
                let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
                (cause.field.as_str(), manager)
            })
            .collect();
        let first = conflicts.first().map_or("another manager", |(_, manager)| manager);
        let mut error = Error::failed(format!(
            "{} {}: {} of its fields belong{} to another manager",
            self.doing,
            self.object,
            conflicts.len(),
            if conflicts.len() == 1 { "s" } else { "" }
        ))
        .hint(format!(
            "leave it to {first} by taking it out of the manifest, or take it over: cargo xtask deploy --take-ownership"
        ));
        for (field, manager) in conflicts {
            error = self.place(error, field, &format!("{field} belongs to {manager}"));
        }
        error
    }

    fn unknown(&self, unknown: &[String], description: Option<&Value>) -> Error {
        let mut error = Error::usage(format!("{} {}: {} has no such field", self.doing, self.object, self.object.kind));
        for field in unknown {
            let path = index_path(self.desired, field);
            let near = description.and_then(|description| fields::suggestion(description, self.object, &path));
            let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            error = self.place(error, field, &format!("unknown field {field}{near}"));
        }
        error
    }

    /// Adds a cause at the place in the manifest where a field is written.
    fn place(&self, error: Error, field: &str, message: &str) -> Error {
        let position = self.written.field_position(&index_path(self.desired, field));
        let mut parts = position.rsplitn(3, ':');
        let column = parts.next().and_then(|column| column.parse().ok());
        let line = parts.next().and_then(|line| line.parse().ok());
        match (parts.next(), line, column) {
            (Some(file), Some(line), Some(column)) => {
                error.place(Place { file: file.to_owned(), line, column, message: message.to_owned() })
            }
            // The object as a whole, without a column.
            _ => error.cause(format!("{position}: {message}")),
        }
    }
}

/// The fields that a message calls unknown: server-side apply and the strict decoder word it differently.
fn unknown_fields(message: &str) -> Vec<String> {
    let mut found: Vec<String> = message
        .lines()
        .filter_map(|line| line.split_once(": field not declared in schema"))
        .map(|(before, _)| before.rsplit("): ").next().unwrap_or(before).trim().to_owned())
        .collect();
    found.extend(message.split("unknown field \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    found.sort();
    found.dedup();
    found
}

/// `.spec.containers[name="app"].image` as `spec.containers[0].image`: server-side apply names items by their keys.
fn index_path(object: &Value, path: &str) -> String {
    let mut out = String::new();
    let mut at = Some(object);
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let Some((inside, after)) = inside.split_once(']') else { break };
            let items = at.and_then(Value::as_array);
            let index = inside.parse().ok().or_else(|| {
                let keys: Vec<(&str, Value)> = inside
                    .split(',')
                    .filter_map(|pair| pair.split_once('='))
                    .filter_map(|(key, value)| Some((key, serde_json::from_str(value).ok()?)))
                    .collect();
                // A key with a default, `protocol: TCP`, need not be written.
                let fits =
                    |item: &Value| keys.iter().all(|(key, value)| item.get(key).is_none_or(|found| found == value));
                items?.iter().position(fits)
            });
            let Some(index) = index else { break };
            out.push_str(&format!("[{index}]"));
            at = items.and_then(|items| items.get(index));
            rest = after.trim_start_matches('.');
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (mut key, mut after) = rest.split_at(end);
            // Keys of labels and annotations hold dots themselves: the longest key that is there counts.
            if let Some(fields) = at.and_then(Value::as_object) {
                let whole =
                    fields.keys().filter(|field| rest.starts_with(field.as_str())).max_by_key(|field| field.len());
                if let Some(whole) = whole.filter(|whole| whole.len() > key.len()) {
                    (key, after) = rest.split_at(whole.len());
                }
            }
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(key);
            at = at.and_then(|at| at.get(key));
            rest = after.trim_start_matches('.');
        }
    }
    out
}

#[cfg(test)]
mod tests;
