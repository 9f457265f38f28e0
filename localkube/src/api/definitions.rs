//! CustomResourceDefinitions at work: their kinds are served as soon as they are stored, and go with their objects.
//!
//! A cluster of many processes has controllers for it, which take their time; here it is done when the request that
//! asked for it is answered.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Server, User, convert,
    delete::{self, DeleteOptions},
    meta,
    request::{Call, Query},
};
use crate::{
    custom::{self, CLEANUP, Custom, DEFINITIONS},
    fields::{self, Manager},
    kinds,
    resource::Resource,
    schema,
    status::Status,
    store::Stored,
};

/// What the API server itself is called as a manager.
const MANAGER: &str = "kube-apiserver";

impl Server {
    /// Serves the kinds of the stored definitions, those and no others. What has not changed is kept as it is.
    pub(super) fn define(&self) {
        let before = self.resources();
        let (built_in, known): (Vec<_>, Vec<_>) =
            before.iter().cloned().partition(|resource| resource.custom.is_none());
        let of = |definition: &Stored| -> Vec<Arc<Resource>> {
            let same =
                |custom: &Custom| custom.definition == definition.key.name && custom.revision == definition.revision;
            let same = |resource: &&Arc<Resource>| resource.custom.as_deref().is_some_and(same);
            let kept: Vec<_> = known.iter().filter(same).cloned().collect();
            if kept.is_empty() { custom::resources(&definition.value(), definition.revision) } else { kept }
        };
        let definitions = self.store.list(DEFINITIONS, None).objects;
        let custom = definitions.iter().flat_map(|definition| of(definition));
        let resources: Vec<_> = built_in.into_iter().chain(custom).collect();
        *self.resources.write().expect("nothing panics while it holds the lock") = Arc::new(resources);
    }
}

/// Whether what a request did may change the kinds that are served.
pub(super) fn concern(call: &Call) -> bool {
    let terminating = call.resource.custom.as_ref().is_some_and(|custom| custom.terminating);
    call.method != Method::GET && (terminating || kinds::is_definition(&call.resource))
}

/// Gives every definition the status that it should have, serves the kinds, and removes the objects of those that go.
pub(super) async fn settle(server: &Arc<Server>) {
    let _turn = server.definitions.lock().await;
    // Names that one gives up another may get, so that it takes a second round at times.
    while accept(server).await {}
    server.define();
    for stored in server.store.list(DEFINITIONS, None).objects {
        let definition = stored.value();
        if !definition["metadata"]["deletionTimestamp"].is_null() {
            remove(server, &stored, definition).await;
        }
    }
    server.define();
}

/// Writes the statuses that have changed; whether there were any.
async fn accept(server: &Server) -> bool {
    let stored = server.store.list(DEFINITIONS, None).objects;
    let mut all: Vec<Value> = stored.iter().map(|definition| definition.value()).collect();
    let mut changed = false;
    for (index, stored) in stored.iter().enumerate() {
        let mut definition = all[index].clone();
        if !definition["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let others: Vec<Value> =
            all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other.clone()).collect();
        definition["status"] = custom::conditions(&definition, &others, Timestamp::now());
        if definition["status"] == all[index]["status"] {
            continue;
        }
        if let Some(schema) = schema::of_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition") {
            let manager =
                Manager { name: MANAGER, subresource: Some("status"), api_version: "apiextensions.k8s.io/v1" };
            fields::track_update(schema, Some(&all[index]), &mut definition, manager, Timestamp::now());
        }
        // Who was faster causes the next round.
        changed = true;
        if server.store.update(stored.key.clone(), stored.revision, definition.clone()).await.is_ok() {
            all[index] = definition;
        }
    }
    changed
}

/// Removes the objects of a definition that is being deleted, and then lets it go.
async fn remove(server: &Arc<Server>, stored: &Stored, mut definition: Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = format!("{}.{}", text(&definition["spec"]["names"]["plural"]), text(&definition["spec"]["group"]));
    let resource =
        server.resources().iter().find(|resource| resource.custom.is_some() && resource.storage == kind).cloned();
    if let Some(resource) = resource {
        for object in server.store.list(&kind, None).objects {
            let call = deletion(server, &resource, &object);
            // What is gone already is as good.
            let _ = delete::delete_one(&call, &object.key.name, &DeleteOptions::default()).await;
        }
        if !server.store.list(&kind, None).objects.is_empty() {
            return;
        }
    }
    if let Some(finalizers) = definition["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != CLEANUP);
    }
    definition["kind"] = "CustomResourceDefinition".into();
    let (key, revision) = (stored.key.clone(), stored.revision);
    let _ = if meta::deletable(&definition) {
        server.store.delete(key, revision).await
    } else {
        if definition["metadata"]["finalizers"].as_array().is_some_and(Vec::is_empty) {
            meta::remove(&mut definition, "finalizers");
        }
        let definition = convert::without_kind(definition);
        server.store.update(key, revision, definition).await
    };
}

fn deletion(server: &Arc<Server>, resource: &Arc<Resource>, object: &Stored) -> Call {
    Call {
        server: Arc::clone(server),
        method: Method::DELETE,
        resource: Arc::clone(resource),
        namespace: Some(object.key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        name: Some(object.key.name.clone()),
        subresource: None,
        watch: false,
        query: Query::default(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        user: User::admin(),
        upgrade: None,
    }
}

/// Marks a definition as being deleted. It stays until its objects are gone.
pub(super) fn mark(object: &mut Value) {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return;
    }
    object["status"] = custom::terminating(object, Timestamp::now());
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
        finalizers.push(CLEANUP.into());
    }
    object["metadata"]["finalizers"] = finalizers.into();
}

/// Nothing comes to a kind that is going.
pub(super) fn admit(call: &Call) -> Result<(), Status> {
    if !call.resource.custom.as_ref().is_some_and(|custom| custom.terminating) {
        return Ok(());
    }
    let message = "create not allowed while custom resource definition is terminating";
    let details = crate::status::object_details(&call.resource, "");
    Err(Status::new(405, "MethodNotAllowed", message).with_details(details))
}
