//! The kinds against what a real API server answered, and rules that the recordings do not reach.

mod admission;
mod recordings;
mod rules;

use serde_json::Value;

use crate::{
    resource::{Resource, builtin},
    schema::{self, FieldValidation, Format},
};

/// The resource that a request's path names.
fn resource(group: &str, version: &str, plural: &str) -> Option<Resource> {
    builtin().into_iter().find(|one| one.group == group && one.version == version && one.plural == plural)
}

/// The resource that an object is of.
fn resource_of(object: &Value) -> Resource {
    let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", object["apiVersion"].as_str().unwrap()),
    };
    let kind = object["kind"].as_str().unwrap();
    builtin().into_iter().find(|one| one.group == group && one.version == version && one.kind == kind).unwrap()
}

fn decode(resource: &Resource, body: &Value) -> Value {
    let body = serde_json::to_vec(body).unwrap();
    schema::decode(resource, &body, Format::Json, FieldValidation::Ignore).unwrap().object
}

/// An object as it would be stored, but for names, addresses and times.
fn created(body: &Value) -> Value {
    let resource = resource_of(body);
    let mut object = decode(&resource, body);
    if resource.namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = "ns".into();
    }
    super::set_defaults(&resource, &mut object);
    super::prepare_create(&resource, &mut object);
    object
}

/// `path: message` of every rule that a new object breaks.
fn refusals(body: &Value) -> Vec<String> {
    let object = created(body);
    lines(&super::validate(&resource_of(body), None, &object, None))
}

/// `path: message` of every rule that a change breaks.
fn change_refusals(old: &Value, new: &Value) -> Vec<String> {
    let old = created(old);
    let resource = resource_of(new);
    let mut object = decode(&resource, new);
    if resource.namespaced {
        object["metadata"]["namespace"] = "ns".into();
    }
    super::set_defaults(&resource, &mut object);
    super::prepare_update(&resource, None, &mut object, &old);
    lines(&super::validate(&resource, None, &object, Some(&old)))
}

fn lines(errors: &[crate::status::FieldError]) -> Vec<String> {
    errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
}
