//! What a cluster has from the start, and what every namespace has.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};

use super::{Server, request};
use crate::store::Key;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// Whose work this is in a cluster of many processes.
const MANAGER: &str = "kube-controller-manager";
const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_NOTE: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                            endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                            guaranteed across distributions of Kubernetes clusters.";

/// Makes what is missing of it. Safe to repeat.
pub async fn bootstrap(server: &Arc<Server>) {
    // At once, so that they share their commits.
    let make = async |name: &str| {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        post(server, "/api/v1/namespaces", &namespace, "kube-apiserver").await;
    };
    futures::future::join_all(NAMESPACES.map(make)).await;
}

/// Gives a namespace its ServiceAccount and the cluster's certificates.
pub(super) async fn furnish(server: &Arc<Server>, namespace: &str) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let certificates = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA, "annotations": {"kubernetes.io/description": ROOT_CA_NOTE}},
        "data": {"ca.crt": server.options.ca_certificate},
    });
    let configmaps = format!("/api/v1/namespaces/{namespace}/configmaps");
    tokio::join!(post(server, &accounts, &account, MANAGER), post(server, &configmaps, &certificates, MANAGER));
}

/// Gives namespaces back what was deleted of it, until dropped: what the ServiceAccount controller and the root CA
/// publisher do.
pub async fn refurnish(server: Arc<Server>) {
    let store = &server.store;
    let (mut accounts, mut maps) = (store.changes("serviceaccounts"), store.changes("configmaps"));
    loop {
        for namespace in store.list("namespaces", None).objects {
            let has = |resource: &str, name: &str| {
                let (namespace, name) = (namespace.key.name.clone(), name.to_owned());
                store.get(&Key { resource: resource.to_owned(), namespace, name }).is_some()
            };
            let complete = has("serviceaccounts", "default") && has("configmaps", ROOT_CA);
            if !complete && namespace.value()["metadata"]["deletionTimestamp"].is_null() {
                furnish(&server, &namespace.key.name).await;
            }
        }
        let changed = tokio::select! {
            changed = accounts.changed() => changed,
            changed = maps.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// A request to ourselves. What is there already is fine, and so is a namespace that has gone meanwhile.
async fn post(server: &Arc<Server>, path: &str, object: &Value, agent: &'static str) {
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::USER_AGENT, agent)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(object.to_string()))
        .expect("the paths are made of names that were checked");
    // Boxed because creating a namespace comes back here.
    let response = Box::pin(request::serve(Arc::clone(server), request)).await;
    if !response.status().is_success() && response.status() != http::StatusCode::CONFLICT {
        tracing::warn!(path, status = response.status().as_u16(), "cannot create a built-in object");
    }
}
