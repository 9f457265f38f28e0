//! Deletion: at once, after a grace period, or when the finalizers are gone.

use std::sync::Arc;

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    convert, definitions, meta, namespace,
    negotiate::body_format,
    options, quota, read,
    request::{Call, Query},
    respond,
    selector::Selection,
};
use crate::{
    kinds,
    schema::{self, Format},
    status::{FieldErrorKind, Status, object_details},
    store::{Stored, WriteError},
};

const ATTEMPTS: usize = 64;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// `meta/v1.DeleteOptions`, from the body or the query.
#[derive(Debug, Default)]
pub(super) struct DeleteOptions {
    grace_seconds: Option<i64>,
    uid: Option<String>,
    resource_version: Option<String>,
    propagation: Option<Propagation>,
    pub(super) dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What became of the object.
pub(super) enum Outcome {
    /// It stays until its finalizers or its grace period are over.
    Pending(Value),
    /// It is gone; this is the last of it.
    Gone(Value),
}

/// DELETE of an object.
pub(super) async fn delete(call: &Call) -> Result<Response, Status> {
    let options = DeleteOptions::parse(call)?;
    let name = call.name.clone().unwrap_or_default();
    match delete_one(call, &name, &options).await? {
        Outcome::Pending(object) => respond::object(call, 200, object, &[]),
        Outcome::Gone(object) if returns_object(&call.resource.plural) => respond::object(call, 200, object, &[]),
        Outcome::Gone(object) => {
            let mut details = object_details(&call.resource, &name);
            details["uid"] = object["metadata"]["uid"].clone();
            let body = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            });
            Ok(respond::json(200, body.to_string()))
        }
    }
}

/// DELETE of what a list would show.
pub(super) async fn collection(call: &Call) -> Result<Response, Status> {
    let options = DeleteOptions::parse(call)?;
    let selection = Selection::of(call)?;
    let snapshot = call.server.store.list(&call.resource.storage, call.namespace.as_deref());
    let chosen: Vec<Arc<Stored>> = snapshot.objects.into_iter().filter(|object| selection.matches(object)).collect();
    for object in &chosen {
        match delete_one(call, &object.key.name, &options).await {
            // Somebody else was faster, which is as good.
            Ok(_) | Err(Status { code: 404, .. }) => {}
            Err(status) => return Err(status),
        }
    }
    read::shown(call, &chosen, json!({"resourceVersion": call.server.store.revision().to_string()}))
}

/// Kinds whose registry says `ReturnDeletedObject`.
fn returns_object(plural: &str) -> bool {
    matches!(
        plural,
        "pods"
            | "services"
            | "serviceaccounts"
            | "podtemplates"
            | "resourcequotas"
            | "persistentvolumes"
            | "persistentvolumeclaims"
    )
}

pub(super) async fn delete_one(call: &Call, name: &str, options: &DeleteOptions) -> Result<Outcome, Status> {
    let resource = &call.resource;
    if resource.kind == "Namespace" && namespace::IMMORTAL.contains(&name) {
        return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
    }
    let store = &call.server.store;
    for _ in 0..ATTEMPTS {
        let stored = store.get(&call.key_of(name)).ok_or_else(|| Status::not_found(resource, name))?;
        let live = convert::shown(resource, &stored);
        check_preconditions(call, &live, &stored, options)?;
        let mut object = live.clone();
        let keep = mark(call, &mut object, options);
        if options.dry_run {
            return Ok(if keep { Outcome::Pending(object) } else { Outcome::Gone(object) });
        }
        let mut current = stored;
        if object != live {
            match store.update(current.key.clone(), current.revision, convert::to_store(resource, &object)).await {
                Ok(updated) => current = updated,
                Err(WriteError::Disk(why)) => return Err(Status::internal(why)),
                Err(_) => continue,
            }
        }
        if keep {
            return Ok(Outcome::Pending(convert::shown(resource, &current)));
        }
        match store.delete(current.key.clone(), current.revision).await {
            Ok(gone) => {
                quota::count(&call.server, call.namespace.as_deref()).await;
                return Ok(Outcome::Gone(convert::shown(resource, &gone)));
            }
            Err(WriteError::Disk(why)) => return Err(Status::internal(why)),
            Err(_) => {}
        }
    }
    Err(meta::modified(call, name))
}

fn check_preconditions(call: &Call, live: &Value, stored: &Stored, options: &DeleteOptions) -> Result<(), Status> {
    let kind = &call.resource.kind;
    let name = &stored.key.name;
    let conflict = |why: String| {
        Status::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", call.resource.group_kind()),
        )
        .with_details({
            let mut details = object_details(&call.resource, name);
            details["kind"] = kind.as_str().into();
            details
        })
    };
    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
    if let Some(expected) = options.uid.as_deref().filter(|expected| *expected != uid) {
        return Err(conflict(format!(
            "the UID in the precondition ({expected}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        )));
    }
    let version = stored.revision.to_string();
    if let Some(expected) = options.resource_version.as_deref().filter(|expected| *expected != version) {
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        )));
    }
    Ok(())
}

/// Marks the object as being deleted where it has to stay for a while; whether it has to.
fn mark(call: &Call, object: &mut Value, options: &DeleteOptions) -> bool {
    if kinds::is_definition(&call.resource) {
        definitions::mark(object);
    }
    let finalized = set_finalizers(call, object, options);
    match call.resource.kind.as_str() {
        "Pod" => mark_pod(object, options) || finalized,
        "Namespace" => {
            let kept = object["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = meta::time(Timestamp::now()).into();
                object["status"]["phase"] = "Terminating".into();
            }
            kept || finalized
        }
        _ => {
            if finalized && object["metadata"]["deletionTimestamp"].is_null() {
                set_deletion(object, Timestamp::now(), 0);
            }
            finalized
        }
    }
}

/// The rules of `podStrategy.CheckGracefulDelete` and `rest.BeforeDelete`.
fn mark_pod(object: &mut Value, options: &DeleteOptions) -> bool {
    let unplaced = object["spec"]["nodeName"].as_str().is_none_or(str::is_empty);
    let finished = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let default = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let period = if unplaced || finished { 0 } else { options.grace_seconds.unwrap_or(default).max(0) };
    let metadata = &object["metadata"];
    let Some(end) = meta::parse_time(&metadata["deletionTimestamp"]) else {
        let end = Timestamp::now() + SignedDuration::from_secs(period);
        set_deletion(object, end, period);
        return period > 0;
    };
    let current = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let asked = options.grace_seconds.is_some() || unplaced || finished;
    if asked && period < current {
        let end = end - SignedDuration::from_secs(current - period);
        object["metadata"]["deletionTimestamp"] = meta::time(end).into();
        object["metadata"]["deletionGracePeriodSeconds"] = period.into();
        return period > 0;
    }
    current > 0
}

fn set_deletion(object: &mut Value, moment: Timestamp, grace_seconds: i64) {
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = meta::time(moment).into();
    metadata["deletionGracePeriodSeconds"] = grace_seconds.into();
    // Who looks at generations has something new to observe.
    if let Some(generation) = metadata["generation"].as_i64().filter(|generation| *generation > 0) {
        metadata["generation"] = (generation + 1).into();
    }
}

/// Adds and removes the garbage collector's finalizers; whether any finalizer is left.
fn set_finalizers(call: &Call, object: &mut Value, options: &DeleteOptions) -> bool {
    let old: Vec<Value> = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let has = |name: &str| old.iter().any(|finalizer| finalizer == name);
    let propagation = options.propagation.unwrap_or_else(|| match call.resource.plural.as_str() {
        _ if has(ORPHAN) => Propagation::Orphan,
        _ if has(FOREGROUND) => Propagation::Foreground,
        // For these two the API server keeps what old clients expect.
        "jobs" | "replicationcontrollers" => Propagation::Orphan,
        _ => Propagation::Background,
    });
    let mut new: Vec<Value> = old.iter().filter(|name| *name != ORPHAN && *name != FOREGROUND).cloned().collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => new.push(FOREGROUND.into()),
        Propagation::Orphan => new.push(ORPHAN.into()),
    }
    let left = !new.is_empty();
    let same = old.len() == new.len() && old.iter().all(|finalizer| new.contains(finalizer));
    if !same {
        if left {
            object["metadata"]["finalizers"] = new.into();
        } else {
            meta::remove(object, "finalizers");
        }
    }
    left
}

impl DeleteOptions {
    fn parse(call: &Call) -> Result<Self, Status> {
        let body = if call.body.is_empty() { json!({}) } else { Self::body(call)? };
        Self::of(call, &body)
    }

    /// The options in an object; the query has the rest.
    pub(super) fn of(call: &Call, body: &Value) -> Result<Self, Status> {
        let dry_run = options::dry_run(&call.query, "DeleteOptions")?;
        let in_query = |name: &str| call.query.get(name);
        let policy = body["propagationPolicy"].as_str().or(in_query("propagationPolicy"));
        let orphan = body["orphanDependents"].as_bool().or(in_query("orphanDependents").map(|value| value == "true"));
        let grace_seconds = match body["gracePeriodSeconds"].as_i64() {
            Some(seconds) => Some(seconds),
            None => options::integer(&call.query, "gracePeriodSeconds")?,
        };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let dry_in_body = body["dryRun"].as_array().is_some_and(|values| !values.is_empty());
        if dry_in_body {
            let parameters = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
            options::dry_run(
                &Query(parameters.map(|value| ("dryRun".to_owned(), value.to_owned())).collect()),
                "DeleteOptions",
            )?;
        }
        Ok(Self {
            grace_seconds,
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            propagation: propagation(policy, orphan)?,
            dry_run: dry_run || dry_in_body,
        })
    }

    fn body(call: &Call) -> Result<Value, Status> {
        let body = match body_format(&call.headers) {
            Ok(Format::Protobuf) => schema::action(&call.body, "v1", "DeleteOptions")?,
            _ => serde_yaml::from_slice::<Value>(&call.body).ok().filter(Value::is_object).ok_or_else(|| {
                Status::bad_request("couldn't get version/kind; json parse error: unexpected end of JSON input")
            })?,
        };
        let kind = body["kind"].as_str().unwrap_or_default();
        if !kind.is_empty() && kind != "DeleteOptions" {
            let version = body["apiVersion"].as_str().unwrap_or_default();
            return Err(Status::bad_request(format!(
                "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
                 \"pkg/apis/meta/internalversion/scheme/register.go:27\""
            )));
        }
        Ok(body)
    }
}

fn propagation(policy: Option<&str>, orphan: Option<bool>) -> Result<Option<Propagation>, Status> {
    let policy = policy.filter(|policy| !policy.is_empty());
    if let (Some(policy), Some(_)) = (policy, orphan) {
        let message = format!("Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set");
        return Err(options::invalid("DeleteOptions", "propagationPolicy", FieldErrorKind::Invalid, &message));
    }
    Ok(match (policy, orphan) {
        (Some("Background"), _) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, Some(false)) => Some(Propagation::Background),
        (None, None) => None,
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            return Err(options::not_supported(
                "DeleteOptions",
                "propagationPolicy",
                &format!("{other:?}"),
                &supported,
            ));
        }
    })
}
