//! What a cluster has from the start, and what every namespace has.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};

use super::{Server, definitions, meta, request};
use crate::{access::roles, store::Key};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
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
    // A process that was killed may have left a definition half done.
    tokio::join!(futures::future::join_all(NAMESPACES.map(make)), roles(server), definitions::settle(server));
}

/// Makes the roles that every cluster has. They are right as they are, so they go to the store directly: a fifth of the
/// time that the way of requests takes.
async fn roles(server: &Arc<Server>) {
    let (roles, bindings) = roles::builtin();
    let roles = roles.into_iter().map(|role| (ROLES, role));
    let all = roles.chain(bindings.into_iter().map(|binding| (BINDINGS, binding)));
    let writes = all.filter_map(|(resource, mut object)| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = Key { resource: resource.to_owned(), namespace: String::new(), name };
        let missing = server.store.get(&key).is_none() && meta::create(&mut object).is_ok();
        missing.then(|| server.store.create(key, object))
    });
    for failed in futures::future::join_all(writes).await.into_iter().filter_map(Result::err) {
        tracing::warn!(error = %failed, "cannot create a built-in role");
    }
}

/// Keeps the rules of roles that are made of others, until dropped: what the ClusterRole aggregation controller does.
pub async fn aggregate(server: Arc<Server>) {
    let mut changes = server.store.changes(ROLES);
    loop {
        let stored = server.store.list(ROLES, None).objects;
        let all: Vec<Value> = stored.iter().map(|role| role.value()).collect();
        for (stored, role) in stored.iter().zip(&all) {
            let Some(rules) = roles::aggregated(role, &all).filter(|rules| *rules != role["rules"]) else { continue };
            let mut role = role.clone();
            role["rules"] = rules;
            // Whoever was faster causes another round.
            let _ = server.store.update(stored.key.clone(), stored.revision, role).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
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
