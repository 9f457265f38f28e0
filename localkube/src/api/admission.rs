//! Admission by what other objects say: LimitRanges, ServiceAccounts, the Pod Security labels of namespaces.
//!
//! The decisions are pure functions in [`crate::kinds`]; here they get the objects that they decide by.

use std::collections::BTreeMap;

use serde_json::Value;

use super::request::Call;
use crate::{
    kinds::{
        limits, pod,
        pod_security::{self, Level},
    },
    status::Status,
    store::Key,
};

/// What the mutating plugins add to a new object.
pub(super) fn mutate(call: &Call, object: &mut Value) -> Result<(), Status> {
    let Some(namespace) = call.namespace.as_deref().filter(|_| is_pod(call)) else { return Ok(()) };
    limits::complete(object, &list(call, "limitranges", namespace));
    let name = match object["spec"]["serviceAccountName"].as_str() {
        Some(name) if !name.is_empty() => name,
        _ => "default",
    };
    let key = Key { resource: "serviceaccounts".to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
    let Some(account) = call.server.store.get(&key) else {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        return Err(forbidden(call, object, &why));
    };
    pod::admit(object, Some(&account.value()));
    Ok(())
}

/// Whether the validating plugins let a new object in.
pub(super) fn validate(call: &Call, object: &Value) -> Result<(), Status> {
    let Some(namespace) = call.namespace.as_deref().filter(|_| is_pod(call)) else { return Ok(()) };
    let mut found = limits::violations(object, &list(call, "limitranges", namespace));
    if let [only] = found.as_slice() {
        return Err(forbidden(call, object, only));
    } else if !found.is_empty() {
        found.sort();
        return Err(forbidden(call, object, &format!("[{}]", found.join(", "))));
    }
    let level = pod_security::level_of(&labelled(call, namespace), "enforce");
    match pod_security::sentence(level, &object["spec"]) {
        Some(sentence) => Err(forbidden(call, object, &format!("violates {sentence}"))),
        None => Ok(()),
    }
}

/// What the client is warned of about an object that was written; `live` is what there was before.
pub(super) fn warnings(call: &Call, live: Option<&Value>, object: &Value) -> Vec<String> {
    if call.subresource.is_some() {
        return Vec::new();
    }
    if call.resource.group.is_empty() && call.resource.kind == "Namespace" {
        return live.map(|live| existing(call, live, object)).unwrap_or_default();
    }
    let (Some(namespace), Some(spec)) =
        (call.namespace.as_deref(), pod_security::pod_spec(&call.resource.kind, object))
    else {
        return Vec::new();
    };
    // A change that leaves the pods as they are was warned of when they came.
    if live.is_some_and(|live| pod_security::pod_spec(&call.resource.kind, live) == Some(spec)) {
        return Vec::new();
    }
    let level = pod_security::level_of(&labelled(call, namespace), "warn");
    let sentence = pod_security::sentence(level, spec);
    sentence.map(|sentence| format!("would violate {sentence}")).into_iter().collect()
}

/// Pods that a namespace's new level would not let in. They stay, but could not come back.
fn existing(call: &Call, live: &Value, namespace: &Value) -> Vec<String> {
    let level = pod_security::level_of(namespace, "enforce");
    if level == Level::Privileged || level == pod_security::level_of(live, "enforce") {
        return Vec::new();
    }
    let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in list(call, "pods", name) {
        let reasons = pod_security::reasons(level, &pod["spec"]);
        if !reasons.is_empty() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            groups.entry(reasons).or_default().push(name.to_owned());
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    let title = format!(
        "existing pods in namespace \"{name}\" violate the new PodSecurity enforce level \"{}:latest\"",
        level.name()
    );
    let lines = groups.into_iter().map(|(reasons, pods)| match pods.as_slice() {
        [only] => format!("{only}: {reasons}"),
        [first, _] => format!("{first} (and 1 other pod): {reasons}"),
        [first, rest @ ..] => format!("{first} (and {} other pods): {reasons}", rest.len()),
        [] => reasons,
    });
    std::iter::once(title).chain(lines).collect()
}

fn is_pod(call: &Call) -> bool {
    call.resource.group.is_empty() && call.resource.kind == "Pod"
}

fn labelled(call: &Call, namespace: &str) -> Value {
    call.server.store.get(&super::namespace::key(namespace)).map(|found| found.value()).unwrap_or_default()
}

fn list(call: &Call, resource: &str, namespace: &str) -> Vec<Value> {
    call.server.store.list(resource, Some(namespace)).objects.iter().map(|stored| stored.value()).collect()
}

fn forbidden(call: &Call, object: &Value, why: &str) -> Status {
    Status::forbidden(&call.resource, object["metadata"]["name"].as_str().unwrap_or_default(), why)
}
