//! What a kustomization does to every object: namespace, prefix, suffix, labels, annotations, replicas, images.

use serde_json::{Map, Value};

use super::{
    kustomization::{Image, Kustomization, Replicas},
    object::{Object, is_cluster_scoped},
    yaml::wrong,
};
use crate::error::Result;

/// Visits every value at a path, through lists; creates the mappings on the way if `create`.
pub(super) fn visit(value: &mut Value, path: &[&str], create: bool, visitor: &mut dyn FnMut(&mut Value)) {
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| visit(item, path, create, visitor));
        return;
    }
    let Some((first, rest)) = path.split_first() else {
        visitor(value);
        return;
    };
    let Value::Object(fields) = value else { return };
    if create && fields.get(*first).is_none_or(Value::is_null) {
        fields.insert((*first).to_owned(), Value::Object(Map::new()));
    }
    if let Some(next) = fields.get_mut(*first) {
        visit(next, rest, create, visitor);
    }
}

/// Sets the namespace of what lives in one, and of the references that carry one.
pub(super) fn namespace(object: &mut Object, namespace: &str) {
    if !is_cluster_scoped(object.kind()) {
        object.remember();
        if let Some(metadata) = object.metadata() {
            metadata.insert("namespace".into(), namespace.into());
        }
    } else if object.kind() == "Namespace" {
        // kustomize renames the Namespace itself.
        object.rename(namespace.to_owned());
    }
    let value = &mut object.value;
    match value["kind"].as_str() {
        Some("RoleBinding" | "ClusterRoleBinding") => visit(value, &["subjects"], false, &mut |subject| {
            // Other subjects follow the object that they name, see `references`.
            if subject["name"] == "default" && subject.is_object() {
                subject["namespace"] = namespace.into();
            }
        }),
        Some("APIService") => {
            visit(value, &["spec", "service", "namespace"], true, &mut |found| *found = namespace.into());
        }
        Some("CustomResourceDefinition") => {
            let path = ["spec", "conversion", "webhook", "clientConfig", "service", "namespace"];
            visit(value, &path, false, &mut |found| *found = namespace.into());
        }
        _ => {}
    }
}

/// Puts a prefix and a suffix around the name.
pub(super) fn affixes(object: &mut Object, prefix: &str, suffix: &str) {
    // kustomize leaves these alone: their names are given from elsewhere.
    if (prefix.is_empty() && suffix.is_empty())
        || matches!(object.kind(), "CustomResourceDefinition" | "APIService" | "Namespace")
    {
        return;
    }
    let name = format!("{prefix}{}{suffix}", object.name());
    object.rename(name);
}

/// `labels` and `commonLabels`.
pub(super) fn labels(object: &mut Object, kustomization: &Kustomization) {
    for labels in &kustomization.labels {
        let templates = labels.include_templates || labels.include_selectors;
        set_labels(object, &labels.pairs, templates, labels.include_selectors);
    }
    set_labels(object, &kustomization.common_labels, true, true);
}

fn set_labels(object: &mut Object, pairs: &Map<String, Value>, templates: bool, selectors: bool) {
    if pairs.is_empty() {
        return;
    }
    let mut add = |found: &mut Value| {
        if let Some(found) = found.as_object_mut() {
            found.extend(pairs.clone());
        }
    };
    let kind = object.kind().to_owned();
    let value = &mut object.value;
    visit(value, &["metadata", "labels"], true, &mut add);
    if templates {
        for path in template_metadata(&kind) {
            visit(value, &[path, &["labels"][..]].concat(), true, &mut add);
        }
    }
    if selectors {
        for (path, create) in selector_paths(&kind) {
            visit(value, &path, create, &mut add);
        }
    }
}

/// `commonAnnotations`.
pub(super) fn annotations(object: &mut Object, pairs: &Map<String, Value>) {
    if pairs.is_empty() {
        return;
    }
    let mut add = |found: &mut Value| {
        if let Some(found) = found.as_object_mut() {
            found.extend(pairs.clone());
        }
    };
    let kind = object.kind().to_owned();
    visit(&mut object.value, &["metadata", "annotations"], true, &mut add);
    // Unlike labels, annotations do not reach the volume claims of a StatefulSet.
    for path in template_metadata(&kind).iter().filter(|path| !path.contains(&"volumeClaimTemplates")) {
        visit(&mut object.value, &[path, &["annotations"][..]].concat(), true, &mut add);
    }
}

/// The metadata of what a kind makes.
fn template_metadata(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" | "ReplicationController" | "Job" => {
            &[&["spec", "template", "metadata"]]
        }
        "StatefulSet" => &[&["spec", "template", "metadata"], &["spec", "volumeClaimTemplates", "metadata"]],
        "CronJob" => &[&["spec", "jobTemplate", "metadata"], &["spec", "jobTemplate", "spec", "template", "metadata"]],
        _ => &[],
    }
}

/// Where a kind selects by labels, and whether the selector is made where it is missing.
fn selector_paths(kind: &str) -> Vec<(Vec<&'static str>, bool)> {
    let paths: &[(&str, bool)] = match kind {
        "Service" | "ReplicationController" => &[("spec selector", true)],
        "Deployment" | "StatefulSet" => &[
            ("spec selector matchLabels", true),
            (
                "spec template spec affinity podAffinity preferredDuringSchedulingIgnoredDuringExecution podAffinityTerm labelSelector matchLabels",
                false,
            ),
            (
                "spec template spec affinity podAffinity requiredDuringSchedulingIgnoredDuringExecution labelSelector matchLabels",
                false,
            ),
            (
                "spec template spec affinity podAntiAffinity preferredDuringSchedulingIgnoredDuringExecution podAffinityTerm labelSelector matchLabels",
                false,
            ),
            (
                "spec template spec affinity podAntiAffinity requiredDuringSchedulingIgnoredDuringExecution labelSelector matchLabels",
                false,
            ),
            ("spec template spec topologySpreadConstraints labelSelector matchLabels", false),
        ],
        "ReplicaSet" | "DaemonSet" => &[("spec selector matchLabels", true)],
        "Job" | "PodDisruptionBudget" => &[("spec selector matchLabels", false)],
        "CronJob" => &[("spec jobTemplate spec selector matchLabels", false)],
        "NetworkPolicy" => &[
            ("spec podSelector matchLabels", false),
            ("spec ingress from podSelector matchLabels", false),
            ("spec egress to podSelector matchLabels", false),
        ],
        _ => &[],
    };
    paths.iter().map(|(path, create)| (path.split(' ').collect(), *create)).collect()
}

/// `replicas`: by the name that an object has or was written with.
///
/// # Errors
/// No object with replicas has that name.
pub(super) fn replicas(objects: &mut [Object], replicas: &Replicas, file: &str) -> Result<()> {
    let mut found = false;
    for object in objects {
        let scales = matches!(object.kind(), "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController");
        if scales && (object.name() == replicas.name || object.first_name() == replicas.name) {
            object.value["spec"]["replicas"] = replicas.count.into();
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    Err(wrong(file, replicas.at, format_args!("no Deployment, ReplicaSet or StatefulSet is named `{}`", replicas.name)))
}

/// `images`: in every container of the object, wherever it is.
pub(super) fn images(value: &mut Value, images: &[Image]) {
    visit_images(value, &mut |found| {
        for image in images {
            let (name, rest) = split_image(found);
            if name == image.name {
                *found = image.replacement(rest);
            }
        }
    });
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

impl Image {
    fn replacement(&self, rest: &str) -> String {
        let name = self.new_name.as_deref().unwrap_or(&self.name);
        match (&self.digest, &self.new_tag, &self.tag_suffix) {
            (Some(digest), _, _) if !digest.is_empty() => format!("{name}@{digest}"),
            (_, Some(tag), _) => format!("{name}:{tag}"),
            (_, None, Some(suffix)) => format!("{name}{rest}{suffix}"),
            _ => format!("{name}{rest}"),
        }
    }
}

/// `registry:5000/name:tag@digest` into `registry:5000/name` and the rest with its separator.
pub(super) fn split_image(image: &str) -> (&str, &str) {
    let end = image.find('@').unwrap_or(image.len());
    let path = image[..end].rfind('/').map_or(0, |slash| slash + 1);
    let end = image[path..end].find(':').map_or(end, |colon| path + colon);
    image.split_at(end)
}
