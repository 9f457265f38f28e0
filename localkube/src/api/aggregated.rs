//! Aggregated discovery: all groups, versions and resources in one document (KEP-3352).

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    Server,
    discovery::{groups, versions},
    respond,
};
use crate::resource::Resource;

/// Either of the two documents: the core group, or all others.
pub(super) fn serve(server: &Server, core: bool, version: &str) -> Response {
    let names = if core { vec![String::new()] } else { groups(server) };
    let items: Vec<Value> = names.iter().map(|name| aggregated_group(server, name)).collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let mut response = respond::json(200, body.to_string());
    let media_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    if let Ok(value) = media_type.parse() {
        response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    }
    response.headers_mut().insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
    response
}

fn aggregated_group(server: &Server, name: &str) -> Value {
    let resources = server.resources();
    let of_version = |version: &String| {
        let served = |resource: &&std::sync::Arc<Resource>| resource.group == name && resource.version == *version;
        let resources: Vec<Value> =
            resources.iter().filter(served).map(|resource| aggregated_resource(resource)).collect();
        json!({"version": version, "freshness": "Current", "resources": resources})
    };
    let versions: Vec<Value> = versions(server, name).iter().map(of_version).collect();
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource) -> Value {
    // The API server leaves group and version of the kind empty where they are those of the resource.
    let kind = |kind: &str, group_version: Option<(&str, &str)>| {
        let (group, version) = group_version.unwrap_or_default();
        json!({"group": group, "version": version, "kind": kind})
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.kind, None),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresource = |subresource: &crate::resource::Subresource| {
        json!({
            "subresource": subresource.name,
            "responseKind": kind(&subresource.kind, subresource.group_version),
            "verbs": subresource.verbs,
        })
    };
    if !resource.subresources.is_empty() {
        entry["subresources"] = resource.subresources.iter().map(subresource).collect();
    }
    entry
}
