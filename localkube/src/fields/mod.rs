//! Server-side apply: who owns which field, and the structured merge (KEP-555, sigs.k8s.io/structured-merge-diff).
//!
//! The order in which the API server calls this:
//!
//! - create, update, patch: [`crate::schema::decode`] or [`crate::patch::apply`], then the defaults, then
//!   [`track_update`] with the live object as it is stored. Defaulted fields so belong to who left them out; what the
//!   server fills in later (addresses, generation, resourceVersion) belongs to nobody.
//! - apply: [`crate::schema::configuration`], then [`check_kind`], then [`apply`], then the defaults. The configuration alone says what the
//!   applier owns, so defaulted fields belong to nobody.
//!
//! After either come validation and storage. Neither function looks at names, uids or resourceVersions. A write whose
//! only change is the time of an ownership is none, which the caller sees to.

mod compare;
mod conflict;
mod last_applied;
mod managed;
mod merge;
pub mod scale;
mod set;
#[cfg(test)]
mod tests;
mod typed;

use serde_json::{Map, Value, json};

use self::{
    compare::{Comparison, compare},
    conflict::Conflicts,
    managed::{Id, Operation, Owned, Owners, stamp},
    set::Set,
};
use crate::{
    schema::{Node, Origin, Schema, Type, canonical, zero},
    status::Status,
};

/// Who makes a change, as `metadata.managedFields` records it.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    /// The field manager's name.
    pub name: &'a str,
    /// The subresource written through, for example `status`.
    pub subresource: Option<&'a str>,
    /// The `apiVersion` of the request's object.
    pub api_version: &'a str,
}

/// The manager of what was there before the first apply, where no ownership was recorded.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Merges an applied configuration into the live object and records the ownership.
///
/// # Errors
/// 409 with every conflicting field and its manager
/// unless `force`, 500 for one that does not fit the schema, as the API server answers it.
pub fn apply(
    schema: &Schema,
    live: Option<&Value>,
    configuration: &Value,
    manager: Manager<'_>,
    force: bool,
    now: jiff::Timestamp,
) -> Result<Value, Status> {
    check(schema, configuration)?;
    let empty;
    let live = match live {
        Some(live) => live,
        None => {
            empty = empty_object(schema);
            &empty
        }
    };
    let mut owners = managed::read(live)
        .ok_or_else(|| internal("failed to decode managed fields: the list is malformed".to_owned()))?;
    let live = &without_managers(live);
    let request = Request { schema, configuration, manager, now };
    if owners.is_empty() {
        // Whatever is there has no owner, so that an apply would take it over in silence.
        let before = Manager { name: BEFORE_FIRST_APPLY, ..manager };
        owners = update(schema, &empty_object(schema), live, owners, before, now);
    }
    let (object, owners) = match request.merge(live, owners.clone(), force)? {
        Ok(merged) => merged,
        Err(conflicts) => {
            let conflicts = match manager.name {
                // What kubectl itself had applied from the client's side is not in its way.
                last_applied::KUBECTL => match last_applied::owned(schema, live, manager.api_version) {
                    Some(allowed) => conflicts.without(&allowed),
                    None => conflicts,
                },
                _ => conflicts,
            };
            if !conflicts.0.is_empty() {
                return Err(conflicts.status());
            }
            request.merge(live, owners, true)?.map_err(|conflicts| conflicts.status())?
        }
    };
    let mut object = match object {
        None => live.clone(),
        Some(mut object) => {
            canonical(schema, &mut object).map_err(|error| {
                let name = named(configuration);
                internal(format!("failed to convert new object ({name}) to proper version: {error}"))
            })?;
            object
        }
    };
    if manager.name == last_applied::KUBECTL {
        last_applied::update(&mut object, configuration);
    }
    managed::write(&mut object, &owners);
    Ok(object)
}

/// Records who changed what between `live` and `object` by a create, an update or a patch that is not an apply.
pub fn track_update(
    schema: &Schema,
    live: Option<&Value>,
    object: &mut Value,
    manager: Manager<'_>,
    now: jiff::Timestamp,
) {
    let owners = match live {
        // A new object has no owners, whatever it says.
        None => Owners::new(),
        Some(live) if manager.subresource.is_some() => managed::read(live).unwrap_or_default(),
        Some(_) if managed::is_reset(object) => Owners::new(),
        Some(live) => match managed::read(object).filter(|owners| !owners.is_empty()) {
            Some(owners) => owners,
            // A client that does not know the field leaves it out.
            None => managed::read(live).unwrap_or_default(),
        },
    };
    let new = without_managers(object);
    let owners = match live {
        None => update(schema, &empty_object(schema), &new, owners, manager, now),
        // Nothing is tracked on an object whose owners are not known: until the first apply nobody asks.
        Some(_) if owners.is_empty() => owners,
        Some(live) => update(schema, &without_managers(live), &new, owners, manager, now),
    };
    managed::write(object, &owners);
}

/// One apply.
struct Request<'a> {
    schema: &'a Schema,
    configuration: &'a Value,
    manager: Manager<'a>,
    now: jiff::Timestamp,
}

/// The merged object, or none where nothing changes, and its owners; or the conflicts.
type Merged = Result<(Option<Value>, Owners), Conflicts>;

impl Request<'_> {
    fn merge(&self, live: &Value, mut owners: Owners, force: bool) -> Result<Merged, Status> {
        let node = self.schema.root();
        let failed = |error: String| internal(format!("failed to merge {}: {error}", named(self.configuration)));
        let merged = merge::merge(node, Some(live), Some(self.configuration)).map_err(failed)?;
        let merged = merged.unwrap_or_else(|| live.clone());
        let id = Id::new(self.manager, Operation::Apply);
        let ignored = ignored(self.schema, self.manager.subresource);
        let set = typed::fields_of(node, self.configuration).recursive_difference(&ignored);
        let version = self.manager.api_version.to_owned();
        let former = owners.remove(&id);
        let time = former.as_ref().and_then(|former| former.time.clone());
        // Where nothing was given up nothing is to be removed.
        let gave_up = former.as_ref().is_some_and(|former| !former.set.difference(&set).is_empty());
        owners.insert(id.clone(), Owned { set, version, time });
        let object = match &former {
            Some(former) if gave_up => prune(node, &merged, &owners, &former.set),
            _ => merged,
        };
        let comparison = compare(node, live, &object).without(&ignored);
        if let Err(conflicts) = take(&mut owners, &comparison, &id, force) {
            return Ok(Err(conflicts));
        }
        strip(&mut owners, &id);
        if comparison.is_same() {
            if let Some(owned) = owners.get_mut(&id).filter(|owned| owned.time.is_none()) {
                owned.time = stamp(self.now);
            }
            return Ok(Ok((None, owners)));
        }
        if let Some(owned) = owners.get_mut(&id) {
            owned.time = stamp(self.now);
        }
        Ok(Ok((Some(object), owners)))
    }
}

/// Removes what the applier applied before and does not any more, unless somebody else owns it.
fn prune(node: Node<'_>, merged: &Value, owners: &Owners, former: &Set) -> Value {
    let former = former.with_named_fields(node);
    let pruned = typed::without(node, merged, &former);
    let all = |value: &Value| typed::fields_of(node, value).with_named_fields(node);
    let owned = owners.values().fold(Set::default(), |all, owned| all.union(&owned.set)).with_named_fields(node);
    // Owned items come back with what is on the way to them; then go only items that were the applier's.
    let gone = all(merged).difference(&all(&pruned).union(&owned));
    let pruned = typed::without(node, merged, &gone);
    let gone = all(merged).difference(&all(&pruned)).intersection(&former);
    typed::without(node, merged, &gone)
}

/// Takes what changed away from the other owners, and what was removed from all of them.
fn take(owners: &mut Owners, comparison: &Comparison, taker: &Id, force: bool) -> Result<(), Conflicts> {
    let changed = comparison.modified.union(&comparison.added);
    let others = || owners.iter().filter(|(id, _)| *id != taker);
    let conflicts: Vec<(Id, Set)> = others()
        .map(|(id, owned)| (id.clone(), owned.set.intersection(&changed)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(Conflicts(conflicts));
    }
    for (id, owned) in owners.iter_mut().filter(|(id, _)| *id != taker) {
        if let Some((_, conflict)) = conflicts.iter().find(|(other, _)| other == id) {
            owned.set = owned.set.difference(conflict);
        }
        owned.set = owned.set.difference(&comparison.removed);
    }
    owners.retain(|id, owned| id == taker || !owned.set.is_empty());
    Ok(())
}

/// The owners after an update that turns `live` into `new`.
fn update(
    schema: &Schema,
    live: &Value,
    new: &Value,
    mut owners: Owners,
    manager: Manager<'_>,
    now: jiff::Timestamp,
) -> Owners {
    let ignored = ignored(schema, manager.subresource);
    let comparison = compare(schema.root(), live, new).without(&ignored);
    let id = Id::new(manager, Operation::Update);
    // The manager's own earlier fields lose what changes, too, and get it back with the new time.
    let nobody = Id { name: String::new(), ..id.clone() };
    if take(&mut owners, &comparison, &nobody, true).is_err() {
        return owners;
    }
    let set = comparison.modified.union(&comparison.added).difference(&comparison.removed).difference(&stripped());
    if !set.is_empty() {
        let former = owners.remove(&id).map_or_else(Set::default, |owned| owned.set);
        let owned = Owned { set: set.union(&former), version: manager.api_version.to_owned(), time: stamp(now) };
        owners.insert(id, owned);
    }
    managed::cap(&mut owners);
    owners
}

/// Fields that belong to nobody.
fn stripped() -> Set {
    const METADATA: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let mut set = Set::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[set::field(name)]);
    }
    for name in METADATA {
        set.insert(&[set::field("metadata"), set::field(name)]);
    }
    set
}

fn strip(owners: &mut Owners, id: &Id) {
    if let Some(owned) = owners.get_mut(id) {
        owned.set = owned.set.difference(&stripped());
        if owned.set.is_empty() {
            owners.remove(id);
        }
    }
}

/// What the path of a write does not change, so that nobody comes to own it there (`GetResetFields`).
fn ignored(schema: &Schema, subresource: Option<&str>) -> Set {
    let root = schema.root();
    if let Origin::Custom { status } = schema.origin() {
        // All but the status, or the status alone.
        let others = root.structure().into_iter().flat_map(|structure| &structure.fields);
        let others = others.map(|field| field.name.as_ref()).filter(|name| *name != "status");
        return match subresource {
            Some("status") => others.fold(Set::default(), |set, name| set.union(&Set::from_path(&[name]))),
            _ if status => Set::from_path(&["status"]),
            _ => Set::default(),
        };
    }
    let kind = root.structure().map_or("", |structure| structure.name);
    let paths: &[&[&str]] = match subresource {
        None if root.child("status").is_some_and(|child| child.field.is_some()) => &[&["status"]],
        Some("status") if kind == "apps.v1.Deployment" => &[&["spec"], &["metadata", "labels"]],
        Some("status") if kind == "core.v1.Pod" => {
            &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        }
        Some("status") => &[&["spec"]],
        _ => &[],
    };
    paths.iter().fold(Set::default(), |set, path| set.union(&Set::from_path(path)))
}

/// Refuses a configuration of another kind or version than the path's, and one that names managers.
///
/// # Errors
/// 400, worded as the API server words it.
pub fn check_kind(configuration: &Value, api_version: &str, kind: &str) -> Result<(), Status> {
    let text = |name: &str| configuration.get(name).and_then(Value::as_str).unwrap_or_default();
    let (given_version, given_kind) = (text("apiVersion"), text("kind"));
    if given_kind != kind {
        let version = if given_version.contains('/') { given_version } else { &format!("/{given_version}") };
        return Err(Status::bad_request(format!("invalid object type: {version}, Kind={given_kind}")));
    }
    if given_version != api_version {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {given_version}, expected: \
             {api_version}"
        )));
    }
    if configuration.pointer("/metadata/managedFields").is_some_and(|managed| !managed.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(())
}

fn check(schema: &Schema, configuration: &Value) -> Result<(), Status> {
    let errors = typed::check(schema.root(), configuration);
    let words = match &errors[..] {
        [] => return Ok(()),
        [error] => error.clone(),
        errors => format!("errors:\n  {}", errors.join("\n  ")),
    };
    Err(internal(format!("failed to create typed patch object ({}): {words}", named(configuration))))
}

/// The API server has no reason of its own for these.
fn internal(message: String) -> Status {
    Status::new(500, "", message)
}

/// `namespace/name; group/version, Kind=kind`
fn named(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = text("/apiVersion");
    let version = if version.contains('/') { version } else { format!("/{version}") };
    format!("{}/{}; {version}, Kind={}", text("/metadata/namespace"), text("/metadata/name"), text("/kind"))
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// What an encoder writes of an object in which nothing is set: the structs that are no pointers, zeros of required
/// fields. A create is compared with it, so that these are not added by who creates.
fn empty_object(schema: &Schema) -> Value {
    fn of(node: Node<'_>) -> Value {
        let Some(structure) = node.structure() else { return zero(node.of) };
        let fields = structure.fields.iter().filter_map(|field| {
            let value = match &field.of {
                Type::Struct(_) if field.value => of(node.field(field)),
                // The required structs behind a pointer are selectors.
                Type::Struct(_) if field.required => match node.field(field).structure() {
                    Some(inner) if !inner.name.ends_with("Selector") => of(node.field(field)),
                    _ => Value::Null,
                },
                _ if field.required => zero(&field.of),
                _ => return None,
            };
            Some((field.name.to_string(), value))
        });
        Value::Object(fields.collect::<Map<String, Value>>())
    }
    match of(schema.root()) {
        Value::Object(map) => Value::Object(map),
        _ => json!({"metadata": {}}),
    }
}
