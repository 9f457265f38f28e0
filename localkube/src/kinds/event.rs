//! Events of the core group.

use serde_json::Value;

use super::{
    errors::invalid,
    value::{default, make, text},
};
use crate::status::FieldError;

/// Fields that are shown even when nothing is in them.
pub(super) fn defaults(object: &mut Value) {
    make(object, "involvedObject");
    make(object, "source");
    for key in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        default(object, key, Value::Null);
    }
    for key in ["reportingComponent", "reportingInstance"] {
        default(object, key, "");
    }
}

/// An event lives beside what it is about.
pub(super) fn validate(errors: &mut Vec<FieldError>, object: &Value) {
    let about = text(&object["involvedObject"], "namespace");
    let own = text(&object["metadata"], "namespace");
    let elsewhere = if about.is_empty() { own != "default" && !own.is_empty() } else { about != own };
    if elsewhere {
        errors.push(invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
}
