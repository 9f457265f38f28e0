//! References between objects follow a name that a prefix, a suffix or a hash has changed.

use serde_json::Value;

use super::{
    object::{Object, is_cluster_scoped},
    transform::visit,
};
use crate::error::{Error, Result};

/// A reference inside a pod's spec: the kind referred to and the path to its name.
const IN_PODS: [(&str, &str); 16] = [
    ("ConfigMap", "volumes configMap name"),
    ("ConfigMap", "volumes projected sources configMap name"),
    ("ConfigMap", "containers env valueFrom configMapKeyRef name"),
    ("ConfigMap", "initContainers env valueFrom configMapKeyRef name"),
    ("ConfigMap", "containers envFrom configMapRef name"),
    ("ConfigMap", "initContainers envFrom configMapRef name"),
    ("Secret", "volumes secret secretName"),
    ("Secret", "volumes projected sources secret name"),
    ("Secret", "containers env valueFrom secretKeyRef name"),
    ("Secret", "initContainers env valueFrom secretKeyRef name"),
    ("Secret", "containers envFrom secretRef name"),
    ("Secret", "initContainers envFrom secretRef name"),
    ("Secret", "imagePullSecrets name"),
    ("ServiceAccount", "serviceAccountName"),
    ("PersistentVolumeClaim", "volumes persistentVolumeClaim claimName"),
    ("PriorityClass", "priorityClassName"),
];

/// Other references: the kind that refers, the kind referred to, the path to its name.
const ELSEWHERE: [(&str, &str, &str); 18] = [
    ("StatefulSet", "Service", "spec serviceName"),
    ("StatefulSet", "StorageClass", "spec volumeClaimTemplates spec storageClassName"),
    ("Ingress", "Service", "spec rules http paths backend service name"),
    ("Ingress", "Service", "spec defaultBackend service name"),
    ("Ingress", "Secret", "spec tls secretName"),
    ("Ingress", "IngressClass", "spec ingressClassName"),
    ("HTTPRoute", "Service", "spec rules backendRefs name"),
    ("APIService", "Service", "spec service name"),
    ("ServiceAccount", "Secret", "imagePullSecrets name"),
    ("PersistentVolume", "StorageClass", "spec storageClassName"),
    ("PersistentVolumeClaim", "StorageClass", "spec storageClassName"),
    ("PersistentVolumeClaim", "PersistentVolume", "spec volumeName"),
    ("Role", "ConfigMap", "rules resourceNames"),
    ("Role", "Secret", "rules resourceNames"),
    ("ClusterRole", "ConfigMap", "rules resourceNames"),
    ("ClusterRole", "Secret", "rules resourceNames"),
    ("ValidatingWebhookConfiguration", "Service", "webhooks clientConfig service"),
    ("MutatingWebhookConfiguration", "Service", "webhooks clientConfig service"),
];

/// Where the pod's spec is.
fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("spec"),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            Some("spec template spec")
        }
        "PodTemplate" => Some("template spec"),
        "CronJob" => Some("spec jobTemplate spec template spec"),
        _ => None,
    }
}

/// Rewrites every reference to the present name of what it refers to.
///
/// # Errors
/// A reference fits several objects that are named differently now.
pub(super) fn follow(objects: &mut [Object]) -> Result<()> {
    let names: Vec<Object> = objects.iter().filter(|object| !object.former.is_empty()).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    for object in objects {
        let referrer = object.clone();
        let kind = referrer.kind();
        let mut outcome = Ok(());
        let mut rewrite = |value: &mut Value, path: &str, referred: &str| {
            let path: Vec<&str> = path.split(' ').collect();
            visit(value, &path, false, &mut |found| {
                if let Err(error) = rename(found, referred, &referrer, &names) {
                    outcome = Err(error);
                }
            });
        };
        if let Some(spec) = pod_spec(kind) {
            for (referred, path) in IN_PODS {
                rewrite(&mut object.value, &format!("{spec} {path}"), referred);
            }
        }
        for (_, referred, path) in ELSEWHERE.iter().filter(|(from, ..)| *from == kind) {
            rewrite(&mut object.value, path, referred);
        }
        match kind {
            "HorizontalPodAutoscaler" => by_kind(&mut object.value, "spec scaleTargetRef", &mut rewrite),
            "RoleBinding" | "ClusterRoleBinding" => {
                by_kind(&mut object.value, "roleRef", &mut rewrite);
                rewrite(&mut object.value, "subjects", "ServiceAccount");
            }
            _ => {}
        }
        outcome?;
    }
    Ok(())
}

/// A reference that says itself which kind it is about.
fn by_kind(value: &mut Value, path: &str, rewrite: &mut impl FnMut(&mut Value, &str, &str)) {
    let mut kinds = Vec::new();
    visit(value, &path.split(' ').collect::<Vec<_>>(), false, &mut |found| {
        kinds.extend(found["kind"].as_str().map(str::to_owned));
    });
    for kind in kinds {
        rewrite(value, &format!("{path} name"), &kind);
    }
}

/// Renames one reference: a name, or a mapping with name and namespace.
fn rename(found: &mut Value, kind: &str, referrer: &Object, names: &[Object]) -> Result<()> {
    match found {
        Value::String(name) => {
            let namespace = referrer.namespace();
            if let Some(object) = resolve(kind, name, namespace, referrer, names)? {
                *name = object.name().to_owned();
            }
        }
        Value::Object(fields) if fields.get("kind").is_none_or(|found| found == kind) => {
            let Some(name) = fields.get("name").and_then(Value::as_str) else { return Ok(()) };
            let namespace = fields.get("namespace").and_then(Value::as_str);
            if let Some(object) = resolve(kind, name, namespace, referrer, names)? {
                fields.insert("name".into(), object.name().into());
                if let Some(namespace) = object.namespace() {
                    fields.insert("namespace".into(), namespace.into());
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn resolve<'names>(
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    referrer: &Object,
    names: &'names [Object],
) -> Result<Option<&'names Object>> {
    // Where nothing is said, it is the namespace `default`.
    let given = |namespace: Option<&str>| namespace.unwrap_or("default").to_owned();
    let wanted = namespace.map(|namespace| given(Some(namespace)));
    let fits = |object: &&Object| {
        object.kind() == kind
            && object.former.iter().any(|former| former.name == name)
            && (is_cluster_scoped(kind)
                || wanted.as_ref().is_none_or(|wanted| {
                    given(object.namespace()) == *wanted
                        || object.former.iter().any(|former| given(former.namespace.as_deref()) == *wanted)
                }))
    };
    // Of several that were named so, the one that went through the most kustomizations together with the referrer.
    let shared = |object: &Object| object.lineage.iter().filter(|step| referrer.lineage.contains(step)).count();
    let fitting: Vec<&Object> = names.iter().filter(fits).collect();
    let most = fitting.iter().map(|object| shared(object)).max();
    let nearest: Vec<&Object> = fitting.into_iter().filter(|object| Some(shared(object)) == most).collect();
    match nearest[..] {
        [] => Ok(None),
        [object] => Ok(Some(object)),
        [first, second, ..] => Err(Error::usage(format!(
            "{}: {} refers to {kind} {name}, which is {} or {} now",
            referrer.position(),
            referrer.reference(),
            first.name(),
            second.name()
        ))),
    }
}
