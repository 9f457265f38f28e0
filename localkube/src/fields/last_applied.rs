//! What the server does about objects that kubectl applied on the client's side before: it may take over what the
//! annotation says, and keeps the annotation up to date (k8s.io/apimachinery/pkg/util/managedfields, lastapplied*).

use serde_json::Value;

use super::{
    compare::compare,
    set::Set,
    typed::{check, fields_of},
};
use crate::schema::Schema;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager for which all this is done; others opt out of it by their name.
pub(super) const KUBECTL: &str = "kubectl";
/// What all annotations of an object may weigh together, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The fields that kubectl applied by the annotation and that nobody changed since.
pub(super) fn owned(schema: &Schema, live: &Value, api_version: &str) -> Option<Set> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion")?.as_str()? != api_version || !check(schema.root(), &last).is_empty() {
        return None;
    }
    let comparison = compare(schema.root(), &last, live);
    let fields = fields_of(schema.root(), &last);
    let changed = comparison.added.union(&comparison.modified).union(&comparison.removed);
    Some(fields.difference(&changed))
}

/// Writes the configuration into the annotation, where there is one.
pub(super) fn update(object: &mut Value, configuration: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = configuration.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{}\n", escaped(&applied.to_string()));
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    let size: usize = annotations
        .iter()
        .filter(|(name, _)| *name != ANNOTATION)
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    let fits = size + ANNOTATION.len() + text.len() <= MAX_ANNOTATIONS;
    annotations.insert(ANNOTATION.to_owned(), Value::from(if fits { text } else { String::new() }));
}

/// Go's JSON encoder writes these three as escapes, so that the text is safe in HTML.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
