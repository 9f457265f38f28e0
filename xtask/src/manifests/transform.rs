//! What a kustomization does to every object: namespace, prefix, suffix, replicas, images.

use serde_json::Value;

use super::{field::visit, kustomization::Replicas, object::Object, yaml::wrong};
use crate::error::Result;

/// Sets the namespace of what lives in one, and of the references that carry one.
pub(super) fn namespace(object: &mut Object, namespace: &str) {
    let cluster_scoped = object.identity().is_cluster_scoped();
    object.remember();
    if let Some(metadata) = object.metadata() {
        if !cluster_scoped {
            metadata.insert("namespace".into(), namespace.into());
        }
        // kustomize renames the Namespace itself.
        if object.kind() == "Namespace" {
            object.value["metadata"]["name"] = namespace.into();
        }
    }
    let group = object.identity().group().to_owned();
    let value = &mut object.value;
    let mut set = |found: &mut Value| *found = namespace.into();
    match (value["kind"].as_str(), group.as_str()) {
        (Some("RoleBinding" | "ClusterRoleBinding"), _) => visit(value, &["subjects"], false, &mut |subjects| {
            // Other subjects follow the object that they name, see `references`.
            for subject in subjects.as_array_mut().into_iter().flatten() {
                if subject["name"] == "default" {
                    set(&mut subject["namespace"]);
                }
            }
        }),
        (Some("APIService"), "apiregistration.k8s.io") => {
            visit(value, &["spec", "service", "namespace"], true, &mut set);
        }
        (Some("CustomResourceDefinition"), "apiextensions.k8s.io") => {
            let path = ["spec", "conversion", "webhook", "clientConfig", "service", "namespace"];
            visit(value, &path, false, &mut set);
        }
        _ => {}
    }
}

/// Puts a prefix and a suffix around the name.
pub(super) fn affixes(object: &mut Object, prefix: &str, suffix: &str) {
    // kustomize leaves these alone: their names are given from elsewhere.
    let first = object.first_identity();
    let given = matches!(first.kind.as_str(), "CustomResourceDefinition" | "Namespace")
        || (first.kind == "APIService" && first.group() == "apiregistration.k8s.io");
    if given || (prefix.is_empty() && suffix.is_empty()) {
        return;
    }
    object.remember();
    object.value["metadata"]["name"] = format!("{prefix}{}{suffix}", object.name()).into();
    object.prefixes.extend((!prefix.is_empty()).then(|| prefix.to_owned()));
    object.suffixes.extend((!suffix.is_empty()).then(|| suffix.to_owned()));
}

/// `replicas`: by the name that an object has or was written with.
///
/// # Errors
/// No object with replicas has that name.
pub(super) fn replicas(objects: &mut [Object], replicas: &Replicas, file: &str) -> Result<()> {
    let mut found = false;
    for object in objects {
        let scales = object.identities().any(|identity| {
            let kind =
                matches!(identity.kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController");
            kind && identity.name == replicas.name
        });
        if scales {
            visit(&mut object.value, &["spec", "replicas"], true, &mut |count| *count = replicas.count.into());
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    Err(wrong(file, replicas.at, format_args!("no Deployment, ReplicaSet or StatefulSet is named `{}`", replicas.name)))
}

/// Visits the image of every container.
pub(super) fn visit_images(value: &mut Value, visitor: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit_images(item, visitor)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::Array(containers) if key == "containers" || key == "initContainers" => {
                        for container in containers {
                            if let Some(Value::String(image)) = container.get_mut("image") {
                                visitor(image);
                            }
                        }
                    }
                    _ => visit_images(field, visitor),
                }
            }
        }
        _ => {}
    }
}

/// `registry:5000/name:tag@digest` into `registry:5000/name` and the rest with its separator.
pub(super) fn split_image(image: &str) -> (&str, &str) {
    let end = image.find('@').unwrap_or(image.len());
    let path = image[..end].rfind('/').map_or(0, |slash| slash + 1);
    let end = image[path..end].find(':').map_or(end, |colon| path + colon);
    image.split_at(end)
}
