//! Which kinds kustomize leaves without a namespace.

/// Whether objects of this kind live in the cluster and not in a namespace.
///
/// kustomize goes by the API of Kubernetes 1.21 in exact versions: kinds that came later live in a
/// namespace for it, as custom resources do. The cluster's own discovery decides when objects are applied.
pub(super) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (kinds, versions): (&[&str], &[&str]) = match group {
        "" => (&["ComponentStatus", "Namespace", "Node", "PersistentVolume"], &["v1"]),
        "admissionregistration.k8s.io" => {
            (&["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"], &["v1", "v1beta1"])
        }
        "apiextensions.k8s.io" => (&["CustomResourceDefinition"], &["v1", "v1beta1"]),
        "apiregistration.k8s.io" => (&["APIService"], &["v1", "v1beta1"]),
        "certificates.k8s.io" => (&["CertificateSigningRequest"], &["v1", "v1beta1"]),
        "flowcontrol.apiserver.k8s.io" => (&["FlowSchema", "PriorityLevelConfiguration"], &["v1alpha1", "v1beta1"]),
        "networking.k8s.io" => (&["IngressClass"], &["v1", "v1beta1"]),
        "node.k8s.io" => (&["RuntimeClass"], &["v1", "v1alpha1", "v1beta1"]),
        "policy" => (&["PodSecurityPolicy"], &["v1beta1"]),
        "rbac.authorization.k8s.io" => (&["ClusterRole", "ClusterRoleBinding"], &["v1", "v1alpha1", "v1beta1"]),
        "scheduling.k8s.io" => (&["PriorityClass"], &["v1", "v1alpha1", "v1beta1"]),
        "storage.k8s.io" if kind == "VolumeAttachment" => (&["VolumeAttachment"], &["v1", "v1alpha1", "v1beta1"]),
        "storage.k8s.io" => (&["CSIDriver", "CSINode", "StorageClass"], &["v1", "v1beta1"]),
        _ => return false,
    };
    kinds.contains(&kind) && versions.contains(&version)
}
