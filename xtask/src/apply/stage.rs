//! Which objects must be there before which.

use crate::plan::ObjectRef;

/// The order of an apply; a delete goes the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// CustomResourceDefinitions: other objects are of their kinds.
    Definitions,
    /// Namespaces: other objects live in them.
    Namespaces,
    /// What holds for the whole cluster or limits what follows: classes, quotas, policies.
    Policies,
    /// What pods read and run as: service accounts, roles, ConfigMaps, Secrets, volumes.
    Configuration,
    /// Services, so that pods find them in their environment and names resolve at once.
    Services,
    /// What runs.
    Workloads,
    /// What refers to workloads: autoscalers, disruption budgets, routes; and custom resources.
    Dependents,
    /// Webhooks: they would refuse everything above as long as what answers them is not there.
    Webhooks,
}

impl Stage {
    /// The stage of an object.
    pub fn of(object: &ObjectRef) -> Self {
        match (object.group(), object.kind.as_str()) {
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definitions,
            ("", "Namespace") => Self::Namespaces,
            ("", "ResourceQuota" | "LimitRange")
            | (
                "scheduling.k8s.io"
                | "storage.k8s.io"
                | "node.k8s.io"
                | "networking.k8s.io"
                | "gateway.networking.k8s.io",
                "PriorityClass" | "StorageClass" | "CSIDriver" | "RuntimeClass" | "IngressClass" | "NetworkPolicy"
                | "GatewayClass",
            ) => Self::Policies,
            ("", "ServiceAccount" | "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim")
            | ("rbac.authorization.k8s.io", _) => Self::Configuration,
            ("", "Service" | "Endpoints") | ("discovery.k8s.io", _) => Self::Services,
            ("", "Pod" | "ReplicationController") | ("apps" | "batch", _) => Self::Workloads,
            ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => Self::Webhooks,
            _ => Self::Dependents,
        }
    }
}
