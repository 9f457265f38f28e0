//! What a write may change: the status through its subresource, the rest without it, and the generation with the
//! specification (`PrepareForCreate` and `PrepareForUpdate` of the server's registries).

use serde_json::{Value, json};

use super::{
    autoscaler, disruption, job, namespace, pod, service,
    value::{has, int, items, make, remove, restore, text},
    workload,
};
use crate::{custom, resource::Resource};

/// Kinds whose `metadata.generation` counts changes of the specification.
const COUNTED: [&str; 14] = [
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "Ingress",
    "IngressClass",
    "Job",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];
/// Kinds whose status is written through its own subresource only.
const WITH_STATUS: [&str; 20] = [
    "APIService",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "ResourceQuota",
    "Service",
    "StatefulSet",
    "VolumeAttachment",
];

/// Readies a new object.
pub(super) fn create(resource: &Resource, object: &mut Value) {
    let kind = resource.kind.as_str();
    let metadata = make(object, "metadata");
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(metadata, key);
    }
    if COUNTED.contains(&kind) {
        metadata["generation"] = 1.into();
    }
    match kind {
        "Namespace" => namespace::prepare(object),
        "Pod" => {
            let class = pod::quality_of_service(&object["spec"]);
            object["status"] = json!({"phase": "Pending", "qosClass": class});
        }
        "Service" => {
            service::complete(object);
            object["status"] = json!({"loadBalancer": {}});
        }
        "Ingress" => object["status"] = json!({"loadBalancer": {}}),
        "PersistentVolume" => object["status"] = json!({"phase": "Pending"}),
        "PersistentVolumeClaim" => {
            protect(object, "kubernetes.io/pvc-protection");
            object["status"] = json!({"phase": "Pending"});
        }
        "HorizontalPodAutoscaler" => object["status"] = autoscaler::fresh_status(&resource.version),
        "PodDisruptionBudget" => object["status"] = disruption::fresh_status(),
        "Job" => {
            job::generate_selector(object);
            object["status"] = json!({});
        }
        // A node reports itself with its first write.
        "Node" | "APIService" => {}
        "CustomResourceDefinition" => custom::definition::create(object),
        _ if WITH_STATUS.contains(&kind) => object["status"] = workload::fresh_status(kind),
        "NetworkPolicy" => {
            remove(object, "status");
        }
        _ => {}
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let metadata = make(object, "metadata");
    if !items(metadata, "finalizers").iter().any(|one| one == finalizer) {
        match metadata["finalizers"].as_array_mut() {
            Some(list) => list.push(finalizer.into()),
            None => metadata["finalizers"] = json!([finalizer]),
        }
    }
}

/// Readies a changed object.
pub(super) fn update(resource: &Resource, subresource: Option<&str>, object: &mut Value, old: &Value) {
    let kind = resource.kind.as_str();
    keep_system_fields(object, old);
    match subresource {
        Some("status") => only_status(kind, object, old),
        Some("finalize") if kind == "Namespace" => restore(object, old, "status"),
        // A binding also says so in the status.
        Some("binding" | "approval") => {}
        _ => {
            if WITH_STATUS.contains(&kind) {
                restore(object, old, "status");
            }
            match kind {
                "Namespace" => restore(object, old, "spec"),
                "Service" => service::keep_allocated(object, old),
                "CustomResourceDefinition" => custom::definition::update(object),
                _ => {}
            }
        }
    }
    let counted =
        COUNTED.contains(&kind) && !matches!(subresource, Some("status" | "binding" | "finalize" | "approval"));
    if counted && changed(kind, object, old) {
        let before = int(&old["metadata"], "generation").unwrap_or_default();
        make(object, "metadata")["generation"] = (before + 1).into();
    }
}

/// What a generation counts: the specification, and for Deployments also the annotations, which its pods may follow.
fn changed(kind: &str, object: &Value, old: &Value) -> bool {
    match kind {
        "EndpointSlice" => {
            ["endpoints", "ports", "addressType"].iter().any(|key| object[*key] != old[*key])
                || object["metadata"]["labels"] != old["metadata"]["labels"]
        }
        "Deployment" => {
            object["spec"] != old["spec"] || object["metadata"]["annotations"] != old["metadata"]["annotations"]
        }
        _ => object["spec"] != old["spec"],
    }
}

/// Fields of the metadata that belong to the server.
pub(super) fn keep_system_fields(object: &mut Value, old: &Value) {
    let before = &old["metadata"];
    let metadata = make(object, "metadata");
    for key in ["generation", "creationTimestamp"] {
        restore(metadata, before, key);
    }
    remove(metadata, "selfLink");
    if text(metadata, "uid").is_empty() {
        restore(metadata, before, "uid");
    }
    // A deletion that has begun is never taken back.
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if has(before, key) {
            restore(metadata, before, key);
        }
    }
}

fn only_status(kind: &str, object: &mut Value, old: &Value) {
    let keys: Vec<String> = object.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    let before = old.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    for key in keys.into_iter().chain(before) {
        if !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str()) {
            restore(object, old, &key);
        }
    }
    let metadata = make(object, "metadata");
    match kind {
        "Deployment" => restore(metadata, &old["metadata"], "labels"),
        "Pod" => restore(metadata, &old["metadata"], "ownerReferences"),
        _ => {}
    }
}
