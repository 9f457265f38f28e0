//! Create, update and patch, for every kind and for the subresources that show the whole object.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    address, admission, bootstrap, convert, definitions, escalate, meta, namespace,
    negotiate::body_format,
    options,
    patch_options::{PatchType, check_patch_options, patch_type},
    quota,
    request::Call,
    respond,
};
use crate::{
    custom,
    fields::{self, Manager},
    kinds, patch,
    schema::{self, Decoded, Schema},
    status::Status,
    store::{Stored, WriteError},
};

/// How often a write is made anew when others change the object meanwhile. The API server gives up after five; with
/// none of its latency more rounds cost nothing.
const ATTEMPTS: usize = 64;
/// How many names are tried for `generateName`.
const NAMES: usize = 8;

/// How a write records who owns the fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ownership<'a> {
    /// What changed belongs to the manager.
    Track(&'a str),
    /// Server-side apply has recorded it already.
    Applied,
    /// Nobody: the API server does not record what bindings write.
    Nobody,
}

/// Why a write was not made.
#[derive(Debug)]
pub(super) enum Refused {
    /// For a reason that the client gets to know.
    Status(Status),
    /// Somebody else was faster.
    Raced,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// POST of an object.
pub(super) async fn create(call: &Call) -> Result<Response, Status> {
    let dry_run = options::dry_run(&call.query, "CreateOptions")?;
    let decoded = decode(call, "CreateOptions")?;
    let manager = call.manager();
    let object = insert(call, decoded.object, Ownership::Track(&manager), dry_run).await?;
    let warnings = [decoded.warnings, admission::warnings(call, None, &object)].concat();
    respond::object(call, 201, object, &warnings)
}

/// PUT or PATCH of an object or a subresource that shows it.
pub(super) async fn change(call: &Call, verb: &str) -> Result<Response, Status> {
    if verb == "update" { update(call).await } else { patch(call).await }
}

/// Reads the body as an object of the resource.
fn decode(call: &Call, options_kind: &str) -> Result<Decoded, Status> {
    let format = body_format(&call.headers)?;
    let validation = options::field_validation(&call.query, options_kind)?;
    options::field_manager(&call.query, options_kind)?;
    if let Some(custom) = &call.resource.custom {
        return custom::decode(&call.resource, custom, &call.body, format, validation);
    }
    let mut decoded = schema::decode(&call.resource, &call.body, format, validation)?;
    check_type(call, &mut decoded.object)?;
    Ok(decoded)
}

/// An object says what it is or leaves it to the path; anything else is a mistake.
fn check_type(call: &Call, object: &mut Value) -> Result<(), Status> {
    let expected = call.resource.api_version();
    let given = object["apiVersion"].as_str().unwrap_or_default();
    if !given.is_empty() && given != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        )));
    }
    object["apiVersion"] = expected.into();
    object["kind"] = call.resource.kind.as_str().into();
    if !object["metadata"].is_object() {
        object["metadata"] = serde_json::json!({});
    }
    Ok(())
}

/// Creates an object and returns it as stored, with `apiVersion` and `kind`.
pub(super) async fn insert(
    call: &Call,
    object: Value,
    ownership: Ownership<'_>,
    dry_run: bool,
) -> Result<Value, Status> {
    let mut object = object;
    meta::set_namespace(call, &mut object)?;
    namespace::admit(call, object["metadata"]["name"].as_str().unwrap_or_default())?;
    definitions::admit(call)?;
    meta::create(&mut object)?;
    for _ in 1..NAMES {
        let mut candidate = object.clone();
        let generated = meta::generate_name(&mut candidate);
        match insert_named(call, candidate, ownership, dry_run).await {
            Err(status) if generated && status.reason == "AlreadyExists" => {}
            outcome => return outcome,
        }
    }
    meta::generate_name(&mut object);
    insert_named(call, object, ownership, dry_run).await
}

async fn insert_named(
    call: &Call,
    mut object: Value,
    ownership: Ownership<'_>,
    dry_run: bool,
) -> Result<Value, Status> {
    let resource = &call.resource;
    kinds::set_defaults(resource, &mut object);
    if let Ownership::Track(manager) = ownership {
        // A status sent with a creation is dropped, so its sender must not own it.
        let mut tracked = object.clone();
        if let Some(fields) = tracked.as_object_mut().filter(|_| resource.subresource("status").is_some()) {
            fields.remove("status");
        }
        track(call, None, &mut tracked, manager);
        take_managers(&mut object, &tracked);
    }
    admission::mutate(call, &mut object)?;
    kinds::prepare_create(resource, &mut object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    refuse_invalid(call, &object, &name, &kinds::validate(resource, call.subresource.as_deref(), &object, None))?;
    escalate::check(call, None, &object)?;
    admission::validate(call, &object)?;
    let key = call.key_of(&name);
    if let Some(existing) = call.server.store.get(&key) {
        return Err(exists(call, &existing));
    }
    let guard = address::allocate(call, &mut object, None).await?;
    let room = quota::admit(call, &object).await?;
    if dry_run {
        return Ok(object);
    }
    let stored = call.server.store.create(key.clone(), convert::to_store(resource, &object)).await;
    drop((guard, room));
    let stored = match stored {
        Ok(stored) => stored,
        Err(WriteError::Exists) => match call.server.store.get(&key) {
            Some(existing) => return Err(exists(call, &existing)),
            None => return Err(Status::already_exists(resource, &name)),
        },
        Err(error) => return Err(Status::internal(error.to_string())),
    };
    if resource.kind == "Namespace" {
        bootstrap::furnish(&call.server, &name).await;
    }
    quota::count(&call.server, call.namespace.as_deref()).await;
    Ok(convert::shown(resource, &stored))
}

fn exists(call: &Call, existing: &Stored) -> Status {
    let mut status = Status::already_exists(&call.resource, &existing.key.name);
    if !existing.value()["metadata"]["deletionTimestamp"].is_null() {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

async fn update(call: &Call) -> Result<Response, Status> {
    let dry_run = options::dry_run(&call.query, "UpdateOptions")?;
    let decoded = decode(call, "UpdateOptions")?;
    let manager = call.manager();
    meta::set_namespace(call, &mut decoded.object.clone())?;
    meta::check_name(call, &mut decoded.object.clone())?;
    let pinned = !decoded.object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty();
    for _ in 0..ATTEMPTS {
        let name = call.name.as_deref().unwrap_or_default();
        let Some(stored) = call.server.store.get(&call.key()) else {
            if !meta::creates_on_update(call) || pinned {
                return Err(Status::not_found(&call.resource, name));
            }
            let mut object = decoded.object.clone();
            meta::check_name(call, &mut object)?;
            let object = insert(call, object, Ownership::Track(&manager), dry_run).await?;
            return respond::object(call, 201, object, &decoded.warnings);
        };
        let live = convert::shown(&call.resource, &stored);
        let ownership = Ownership::Track(&manager);
        match replace(call, &stored, &live, decoded.object.clone(), ownership, dry_run).await {
            Ok(object) => {
                let warnings = [decoded.warnings, admission::warnings(call, Some(&live), &object)].concat();
                return respond::object(call, 200, object, &warnings);
            }
            Err(Refused::Status(status)) => return Err(status),
            Err(Refused::Raced) if pinned => return Err(meta::modified(call, name)),
            Err(Refused::Raced) => {}
        }
    }
    Err(meta::modified(call, call.name.as_deref().unwrap_or_default()))
}

async fn patch(call: &Call) -> Result<Response, Status> {
    let patch_type = patch_type(call)?;
    let dry_run = options::dry_run(&call.query, "PatchOptions")?;
    let validation = options::field_validation(&call.query, "PatchOptions")?;
    let force = check_patch_options(call, patch_type)?;
    let manager = call.manager();
    let applied = if patch_type == PatchType::Apply { Some(applied(call)?) } else { None };
    let name = call.name.as_deref().unwrap_or_default();
    for _ in 0..ATTEMPTS {
        let stored = call.server.store.get(&call.key());
        let live = stored.as_ref().map(|stored| convert::shown(&call.resource, stored));
        let mut warnings = Vec::new();
        let (object, ownership) = match (&applied, &live) {
            (Some(configuration), live) => {
                let manager = named(call, &manager, &call.resource.api_version());
                let object = apply(call, live.as_ref(), configuration, manager.borrow(), force)?;
                (object, Ownership::Applied)
            }
            (None, None) => return Err(Status::not_found(&call.resource, name)),
            (None, Some(live)) => {
                let kind = match patch_type {
                    PatchType::Json => patch::Kind::Json,
                    PatchType::Strategic => patch::Kind::Strategic,
                    PatchType::Merge | PatchType::Apply => patch::Kind::Merge,
                };
                let schema = schema::of(&call.resource).unwrap_or_else(|| Schema::deduced());
                let decode = |object: &mut Value, wording| match &call.resource.custom {
                    Some(custom) => custom::unknown(&call.resource, custom, object),
                    None => schema::convert(schema, object, wording),
                };
                let mut decoded = patch::apply_as(kind, schema, live, &call.body, validation, decode)?;
                if call.resource.custom.is_none() {
                    check_type(call, &mut decoded.object)?;
                }
                warnings = decoded.warnings;
                (decoded.object, Ownership::Track(manager.as_str()))
            }
        };
        let (Some(stored), Some(live)) = (stored, live) else {
            if call.subresource.is_some() {
                return Err(Status::not_found(&call.resource, name));
            }
            let object = insert(call, object, ownership, dry_run).await?;
            warnings.extend(admission::warnings(call, None, &object));
            return respond::object(call, 201, object, &warnings);
        };
        let pinned =
            applied.as_ref().is_some_and(|configuration| !configuration["metadata"]["resourceVersion"].is_null());
        match replace(call, &stored, &live, object, ownership, dry_run).await {
            Ok(object) => {
                warnings.extend(admission::warnings(call, Some(&live), &object));
                return respond::object(call, 200, object, &warnings);
            }
            Err(Refused::Status(status)) => return Err(status),
            Err(Refused::Raced) if pinned => return Err(meta::modified(call, name)),
            Err(Refused::Raced) => {}
        }
    }
    Err(meta::modified(call, name))
}

/// The configuration in the body of an apply.
fn applied(call: &Call) -> Result<Value, Status> {
    let mut configuration = schema::configuration(&call.body)?;
    fields::check_kind(&configuration, &call.resource.api_version(), &call.resource.kind)?;
    if !configuration["metadata"].is_object() {
        configuration["metadata"] = serde_json::json!({});
    }
    meta::set_namespace(call, &mut configuration.clone())?;
    meta::check_name(call, &mut configuration)?;
    Ok(configuration)
}

fn apply(
    call: &Call,
    live: Option<&Value>,
    configuration: &Value,
    manager: Manager<'_>,
    force: bool,
) -> Result<Value, Status> {
    let schema = schema::of(&call.resource).unwrap_or_else(|| Schema::deduced());
    let mut object = fields::apply(schema, live, configuration, manager, force, Timestamp::now())?;
    if let Some(custom) = &call.resource.custom {
        custom::unknown(&call.resource, custom, &mut object).map_err(Status::bad_request)?;
    }
    Ok(object)
}

/// Puts a new version of an object in the place of the one there is, and returns it with `apiVersion` and `kind`.
pub(super) async fn replace(
    call: &Call,
    stored: &Stored,
    live: &Value,
    mut object: Value,
    ownership: Ownership<'_>,
    dry_run: bool,
) -> Result<Value, Refused> {
    let resource = &call.resource;
    let subresource = call.subresource.as_deref();
    meta::update(call, &mut object, live, stored)?;
    kinds::set_defaults(resource, &mut object);
    kinds::prepare_update(resource, subresource, &mut object, live);
    if subresource == Some("binding") {
        // Where a pod runs is no new specification of it.
        object["metadata"]["generation"] = live["metadata"]["generation"].clone();
    }
    if let Ownership::Track(manager) = ownership {
        track(call, Some(live), &mut object, manager);
    }
    let name = &stored.key.name;
    refuse_invalid(call, &object, name, &kinds::validate(resource, subresource, &object, Some(live)))?;
    escalate::check(call, Some(live), &object)?;
    let guard = address::allocate(call, &mut object, Some(live)).await?;
    meta::keep_times(&mut object, live);
    if dry_run {
        return Ok(object);
    }
    let store = &call.server.store;
    let written = if meta::deletable(&object) {
        store.delete(stored.key.clone(), stored.revision).await.map(|_| None)
    } else {
        store.update(stored.key.clone(), stored.revision, convert::to_store(resource, &object)).await.map(Some)
    };
    drop(guard);
    quota::count(&call.server, call.namespace.as_deref()).await;
    match written {
        Ok(Some(stored)) => Ok(convert::shown(resource, &stored)),
        Ok(None) => Ok(object),
        Err(WriteError::Modified | WriteError::Absent | WriteError::Exists) => Err(Refused::Raced),
        Err(error) => Err(Status::internal(error.to_string()).into()),
    }
}

fn refuse_invalid(call: &Call, object: &Value, name: &str, errors: &[crate::status::FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    // A custom object may say that it is of another kind.
    let kind = object["kind"].as_str().unwrap_or(&call.resource.kind);
    Err(Status::invalid(&call.resource.group, kind, name, errors))
}

/// A manager whose parts are owned here.
struct Named {
    name: String,
    subresource: Option<String>,
    api_version: String,
}

impl Named {
    fn borrow(&self) -> Manager<'_> {
        Manager { name: &self.name, subresource: self.subresource.as_deref(), api_version: &self.api_version }
    }
}

fn named(call: &Call, name: &str, api_version: &str) -> Named {
    Named { name: name.to_owned(), subresource: call.subresource.clone(), api_version: api_version.to_owned() }
}

/// Records who changed what.
fn track(call: &Call, live: Option<&Value>, object: &mut Value, manager: &str) {
    let schema = schema::of(&call.resource).unwrap_or_else(|| Schema::deduced());
    let manager = named(call, manager, &call.resource.api_version());
    fields::track_update(schema, live, object, manager.borrow(), Timestamp::now());
}

fn take_managers(object: &mut Value, tracked: &Value) {
    match tracked["metadata"].get("managedFields") {
        Some(managed) => object["metadata"]["managedFields"] = managed.clone(),
        None => meta::remove(object, "managedFields"),
    }
}
