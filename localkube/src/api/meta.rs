//! `metadata`: what the server sets, what a write may not change.

use http::Method;
use jiff::{Timestamp, tz::TimeZone};
use rand::Rng as _;
use serde_json::{Value, json};

use super::request::Call;
use crate::{
    status::{FieldError, FieldErrorKind, Status},
    store::Stored,
};

/// What generated names end in: no vowels and no digits that look like letters, so that no words come about.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The API server cuts the prefix so that the whole stays within 63 characters.
const PREFIX_LENGTH: usize = 58;

/// A moment as metadata carries it: whole seconds, UTC.
pub(super) fn time(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment read back.
pub(super) fn parse_time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Takes the namespace of the request; the object may name the same or none.
pub(super) fn set_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    match call.namespace.as_deref() {
        None => remove(object, "namespace"),
        Some(namespace) if given.is_empty() => object["metadata"]["namespace"] = namespace.into(),
        Some(namespace) if given != namespace => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message));
        }
        Some(_) => {}
    }
    Ok(())
}

/// The name in the body has to be that of the path.
pub(super) fn check_name(call: &Call, object: &mut Value) -> Result<(), Status> {
    let expected = call.name.as_deref().unwrap_or_default();
    let given = object["metadata"]["name"].as_str().unwrap_or_default();
    if given.is_empty() {
        object["metadata"]["name"] = expected.into();
    } else if given != expected {
        let message = format!("the name of the object ({given}) does not match the name on the URL ({expected})");
        return Err(Status::bad_request(message));
    }
    Ok(())
}

/// What a new object gets, as `rest.BeforeCreate` gives it.
pub(super) fn create(object: &mut Value) -> Result<(), Status> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(object, field);
    }
    let metadata = &mut object["metadata"];
    metadata["uid"] = uuid::Uuid::new_v4().to_string().into();
    metadata["creationTimestamp"] = time(Timestamp::now()).into();
    Ok(())
}

/// Makes up a name from `generateName`; whether it did.
pub(super) fn generate_name(object: &mut Value) -> bool {
    let metadata = &mut object["metadata"];
    let named = metadata["name"].as_str().is_some_and(|name| !name.is_empty());
    let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !named && !prefix.is_empty()) else {
        return false;
    };
    let mut random = rand::rng();
    let mut name: String = prefix.chars().take(PREFIX_LENGTH).collect();
    name.extend((0..5).map(|_| char::from(SUFFIX[random.random_range(0..SUFFIX.len())])));
    metadata["name"] = name.into();
    true
}

/// Carries over what an update may not change, and refuses an update of another object than the one there is.
pub(super) fn update(call: &Call, object: &mut Value, live: &Value, stored: &Stored) -> Result<(), Status> {
    set_namespace(call, object)?;
    check_name(call, object)?;
    let live = &live["metadata"];
    let name = &stored.key.name;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let live_uid = live["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != live_uid && call.method == Method::PATCH {
        let error = FieldError {
            path: "metadata.uid".to_owned(),
            kind: FieldErrorKind::Invalid,
            message: format!("Invalid value: \"{uid}\": field is immutable"),
        };
        // The API server validates metadata twice, and says so.
        return Err(Status::invalid(&call.resource.group, &call.resource.kind, name, &[error.clone(), error]));
    }
    if !uid.is_empty() && uid != live_uid {
        let key = &stored.key;
        let path = [key.resource.as_str(), key.namespace.as_str(), name.as_str()];
        let path: Vec<&str> = path.into_iter().filter(|part| !part.is_empty()).collect();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}",
            path.join("/")
        );
        return Err(Status::conflict(&call.resource, name, &why));
    }
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() {
        if needs_version(call) {
            let error = FieldError {
                path: "metadata.resourceVersion".to_owned(),
                kind: FieldErrorKind::Invalid,
                message: "Invalid value: 0: must be specified for an update".to_owned(),
            };
            return Err(Status::invalid(&call.resource.group, &call.resource.plural, name, &[error]));
        }
    } else if version.parse::<u64>().is_err() {
        return Err(Status::new(500, "", format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    } else if version != stored.revision.to_string() {
        return Err(modified(call, name));
    }
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
        match live.get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => remove(object, field),
        }
    }
    remove(object, "selfLink");
    Ok(())
}

/// The object has changed since the client read it.
pub(super) fn modified(call: &Call, name: &str) -> Status {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    Status::conflict(&call.resource, name, why)
}

/// Kinds whose strategy says `AllowUnconditionalUpdate() == false`.
fn needs_version(call: &Call) -> bool {
    let custom = call.resource.custom.is_some();
    custom
        || matches!(
            call.resource.plural.as_str(),
            "leases"
                | "poddisruptionbudgets"
                | "mutatingwebhookconfigurations"
                | "validatingwebhookconfigurations"
                | "validatingadmissionpolicies"
                | "validatingadmissionpolicybindings"
                | "apiservices"
                | "customresourcedefinitions"
                | "csidrivers"
                | "csinodes"
                | "runtimeclasses"
                | "volumeattachments"
        )
}

/// Kinds whose strategy says `AllowCreateOnUpdate() == true`.
pub(super) fn creates_on_update(call: &Call) -> bool {
    const KINDS: [&str; 9] = [
        "endpoints",
        "events",
        "leases",
        "limitranges",
        "services",
        "clusterroles",
        "clusterrolebindings",
        "roles",
        "rolebindings",
    ];
    call.subresource.is_none() && KINDS.contains(&call.resource.plural.as_str())
}

/// An update that changes nothing but the times of managers is none: it keeps the old times.
pub(super) fn keep_times(object: &mut Value, live: &Value) {
    if without_times(object) == without_times(live) {
        match live["metadata"].get("managedFields") {
            Some(managed) => object["metadata"]["managedFields"] = managed.clone(),
            None => remove(object, "managedFields"),
        }
    }
}

fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    let managers = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for manager in managers.into_iter().flatten().filter_map(Value::as_object_mut) {
        manager.remove("time");
    }
    object
}

/// Whether an update has removed the last reason to keep a deleted object.
pub(super) fn deletable(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let kept_by_kind = object["kind"] == "Namespace" && !empty(&object["spec"]["finalizers"]);
    !metadata["deletionTimestamp"].is_null()
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && empty(&metadata["finalizers"])
        && !kept_by_kind
}

/// Takes a field of the metadata away.
pub(super) fn remove(object: &mut Value, field: &str) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove(field);
    }
}
