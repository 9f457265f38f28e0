//! Which fields of which kinds refer to other objects by name, as kustomize knows them.

use super::field::Kind;

/// A field that holds the name of another object.
pub(super) struct Referrer {
    /// What is referred to.
    pub(super) target: Kind,
    /// What refers.
    pub(super) of: Kind,
    pub(super) path: Vec<&'static str>,
}

/// References inside a pod's spec: what is referred to and the path to its name.
const IN_PODS: [(&str, &str); 16] = [
    ("ServiceAccount/v1", "serviceAccountName"),
    ("ConfigMap/v1", "volumes configMap name"),
    ("ConfigMap/v1", "containers env valueFrom configMapKeyRef name"),
    ("ConfigMap/v1", "initContainers env valueFrom configMapKeyRef name"),
    ("ConfigMap/v1", "containers envFrom configMapRef name"),
    ("ConfigMap/v1", "initContainers envFrom configMapRef name"),
    ("ConfigMap/v1", "volumes projected sources configMap name"),
    ("Secret/v1", "volumes secret secretName"),
    ("Secret/v1", "containers env valueFrom secretKeyRef name"),
    ("Secret/v1", "initContainers env valueFrom secretKeyRef name"),
    ("Secret/v1", "containers envFrom secretRef name"),
    ("Secret/v1", "initContainers envFrom secretRef name"),
    ("Secret/v1", "imagePullSecrets name"),
    ("Secret/v1", "volumes projected sources secret name"),
    ("PriorityClass.scheduling.k8s.io/v1", "priorityClassName"),
    ("PersistentVolumeClaim/v1", "volumes persistentVolumeClaim claimName"),
];

/// Where the pod's spec is in the kinds that have one.
const PODS: [(&str, &str); 9] = [
    ("Pod", "spec"),
    ("PodTemplate", "template spec"),
    ("Deployment", "spec template spec"),
    ("ReplicaSet", "spec template spec"),
    ("DaemonSet", "spec template spec"),
    ("StatefulSet", "spec template spec"),
    ("Job", "spec template spec"),
    ("ReplicationController", "spec template spec"),
    ("CronJob", "spec jobTemplate spec template spec"),
];

/// Other references: what is referred to, what refers, the path to the name. In the order in which they are followed:
/// where a name fits two kinds, the first one wins.
const ELSEWHERE: [(&str, &str, &str); 40] = [
    ("StorageClass.storage.k8s.io/v1", "PersistentVolume", "spec storageClassName"),
    ("StorageClass.storage.k8s.io/v1", "PersistentVolumeClaim", "spec storageClassName"),
    ("StorageClass.storage.k8s.io/v1", "StatefulSet", "spec volumeClaimTemplates spec storageClassName"),
    ("ServiceAccount/v1", "RoleBinding.rbac.authorization.k8s.io", "subjects"),
    ("ServiceAccount/v1", "ClusterRoleBinding.rbac.authorization.k8s.io", "subjects"),
    ("Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io", "roleRef name"),
    ("ClusterRole.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io", "roleRef name"),
    ("ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io", "roleRef name"),
    ("ConfigMap/v1", "Node", "spec configSource configMap"),
    ("ConfigMap/v1", "Role", "rules resourceNames"),
    ("ConfigMap/v1", "ClusterRole", "rules resourceNames"),
    ("ConfigMap/v1", "Ingress", "metadata annotations nginx.ingress.kubernetes.io/fastcgi-params-configmap"),
    ("Secret/v1", "Service.serving.knative.dev/v1", "spec template spec containers env valueFrom secretKeyRef name"),
    ("Secret/v1", "Ingress", "spec tls secretName"),
    ("Secret/v1", "Ingress", "metadata annotations ingress.kubernetes.io/auth-secret"),
    ("Secret/v1", "Ingress", "metadata annotations nginx.ingress.kubernetes.io/auth-secret"),
    ("Secret/v1", "Ingress", "metadata annotations nginx.ingress.kubernetes.io/auth-tls-secret"),
    ("Secret/v1", "ServiceAccount", "imagePullSecrets name"),
    ("Secret/v1", "StorageClass", "parameters secretName"),
    ("Secret/v1", "StorageClass", "parameters adminSecretName"),
    ("Secret/v1", "StorageClass", "parameters userSecretName"),
    ("Secret/v1", "StorageClass", "parameters secretRef"),
    ("Secret/v1", "Role", "rules resourceNames"),
    ("Secret/v1", "ClusterRole", "rules resourceNames"),
    ("Secret/v1", "PersistentVolume", "spec azureFile secretName"),
    ("Service/v1", "StatefulSet.apps", "spec serviceName"),
    ("Service/v1", "Ingress", "spec rules http paths backend serviceName"),
    ("Service/v1", "Ingress", "spec backend serviceName"),
    ("Service/v1", "Ingress", "spec rules http paths backend service name"),
    ("Service/v1", "Ingress", "spec defaultBackend service name"),
    ("Service/v1", "APIService.apiregistration.k8s.io", "spec service name"),
    ("Service/v1", "ValidatingWebhookConfiguration.admissionregistration.k8s.io", "webhooks clientConfig service"),
    ("Service/v1", "MutatingWebhookConfiguration.admissionregistration.k8s.io", "webhooks clientConfig service"),
    ("PersistentVolume/v1", "PersistentVolumeClaim", "spec volumeName"),
    ("PersistentVolume/v1", "ClusterRole", "rules resourceNames"),
    ("Deployment", SCALER, SCALED),
    ("StatefulSet", SCALER, SCALED),
    ("ReplicaSet", SCALER, SCALED),
    ("ReplicationController", SCALER, SCALED),
    (POLICY, POLICY_BINDING, "spec policyName"),
];

const SCALER: &str = "HorizontalPodAutoscaler";
const SCALED: &str = "spec scaleTargetRef name";
const POLICY: &str = "ValidatingAdmissionPolicy.admissionregistration.k8s.io";
const POLICY_BINDING: &str = "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io";

/// Every field that refers.
pub(super) fn referrers() -> Vec<Referrer> {
    let mut found = Vec::new();
    for (kind, spec) in PODS {
        for (target, path) in IN_PODS {
            if is_known(kind, target) {
                let path = spec.split(' ').chain(path.split(' ')).collect();
                found.push(Referrer { target: Kind::named(target), of: Kind::named(kind), path });
            }
        }
    }
    for (target, kind, path) in ELSEWHERE {
        found.push(Referrer { target: Kind::named(target), of: Kind::named(kind), path: path.split(' ').collect() });
    }
    found
}

/// kustomize's table has gaps, which are kept: what it leaves alone is left alone here.
fn is_known(kind: &str, target: &str) -> bool {
    let configuration = matches!(target, "ConfigMap/v1" | "Secret/v1");
    match kind {
        "ReplicationController" => !configuration,
        "PodTemplate" | "ReplicaSet" => configuration,
        _ => true,
    }
}
