//! The built-in kinds of Kubernetes 1.36, in the order in which discovery lists them.

use super::{Resource, Subresource};

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const NO_COLLECTION: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const CREATE: &[&str] = &["create"];
const GET: &[&str] = &["get"];
const CHANGE: &[&str] = &["get", "patch", "update"];
const UPDATE: &[&str] = &["update"];
const CONNECT: &[&str] = &["create", "get"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

/// The groups in the order of their priority, as `/apis` lists them; groups that are not here come after them.
pub const GROUP_ORDER: &[&str] = &[
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Kind, plural, short names and categories separated by commas, whether namespaced, verbs, subresources.
type Row = (&'static str, &'static str, &'static str, &'static str, bool, &'static [&'static str], &'static str);

const CORE: &[Row] = &[
    ("Binding", "bindings", "", "", true, CREATE, ""),
    ("ComponentStatus", "componentstatuses", "cs", "", false, &["get", "list"], ""),
    ("ConfigMap", "configmaps", "cm", "", true, ALL, ""),
    ("Endpoints", "endpoints", "ep", "", true, ALL, ""),
    ("Event", "events", "ev", "", true, ALL, ""),
    ("LimitRange", "limitranges", "limits", "", true, ALL, ""),
    ("Namespace", "namespaces", "ns", "", false, NO_COLLECTION, "finalize status"),
    ("Node", "nodes", "no", "", false, ALL, "proxy status"),
    ("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "", true, ALL, "status"),
    ("PersistentVolume", "persistentvolumes", "pv", "", false, ALL, "status"),
    (
        "Pod",
        "pods",
        "po",
        "all",
        true,
        ALL,
        "attach binding ephemeralcontainers eviction exec log portforward proxy resize status",
    ),
    ("PodTemplate", "podtemplates", "", "", true, ALL, ""),
    ("ReplicationController", "replicationcontrollers", "rc", "all", true, ALL, "scale status"),
    ("ResourceQuota", "resourcequotas", "quota", "", true, ALL, "status"),
    ("Secret", "secrets", "", "", true, ALL, ""),
    ("ServiceAccount", "serviceaccounts", "sa", "", true, ALL, "token"),
    ("Service", "services", "svc", "all", true, ALL, "proxy status"),
];

const APPS: &[Row] = &[
    ("ControllerRevision", "controllerrevisions", "", "", true, ALL, ""),
    ("DaemonSet", "daemonsets", "ds", "all", true, ALL, "status"),
    ("Deployment", "deployments", "deploy", "all", true, ALL, "scale status"),
    ("ReplicaSet", "replicasets", "rs", "all", true, ALL, "scale status"),
    ("StatefulSet", "statefulsets", "sts", "all", true, ALL, "scale status"),
];

const AUTHORIZATION: &[Row] = &[
    ("LocalSubjectAccessReview", "localsubjectaccessreviews", "", "", true, CREATE, ""),
    ("SelfSubjectAccessReview", "selfsubjectaccessreviews", "", "", false, CREATE, ""),
    ("SelfSubjectRulesReview", "selfsubjectrulesreviews", "", "", false, CREATE, ""),
    ("SubjectAccessReview", "subjectaccessreviews", "", "", false, CREATE, ""),
];

const NETWORKING: &[Row] = &[
    ("IngressClass", "ingressclasses", "", "", false, ALL, ""),
    ("Ingress", "ingresses", "ing", "", true, ALL, "status"),
    ("IPAddress", "ipaddresses", "ip", "", false, ALL, ""),
    ("NetworkPolicy", "networkpolicies", "netpol", "", true, ALL, ""),
    ("ServiceCIDR", "servicecidrs", "", "", false, ALL, "status"),
];

const RBAC: &[Row] = &[
    ("ClusterRoleBinding", "clusterrolebindings", "", "", false, ALL, ""),
    ("ClusterRole", "clusterroles", "", "", false, ALL, ""),
    ("RoleBinding", "rolebindings", "", "", true, ALL, ""),
    ("Role", "roles", "", "", true, ALL, ""),
];

const STORAGE: &[Row] = &[
    ("CSIDriver", "csidrivers", "", "", false, ALL, ""),
    ("CSINode", "csinodes", "", "", false, ALL, ""),
    ("CSIStorageCapacity", "csistoragecapacities", "", "", true, ALL, ""),
    ("StorageClass", "storageclasses", "sc", "", false, ALL, ""),
    ("VolumeAttachment", "volumeattachments", "", "", false, ALL, "status"),
    ("VolumeAttributesClass", "volumeattributesclasses", "vac", "", false, ALL, ""),
];

const ADMISSION: &[Row] = &[
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "", "api-extensions", false, ALL, ""),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "", "api-extensions", false, ALL, ""),
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", "api-extensions", false, ALL, ""),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", "api-extensions", false, ALL, "status"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "", "api-extensions", false, ALL, ""),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", "api-extensions", false, ALL, ""),
];

const GROUPS: &[(&str, &str, &[Row])] = &[
    ("", "v1", CORE),
    ("apiregistration.k8s.io", "v1", &[("APIService", "apiservices", "", "api-extensions", false, ALL, "status")]),
    ("apps", "v1", APPS),
    ("events.k8s.io", "v1", &[("Event", "events", "ev", "", true, ALL, "")]),
    (
        "authentication.k8s.io",
        "v1",
        &[
            ("SelfSubjectReview", "selfsubjectreviews", "", "", false, CREATE, ""),
            ("TokenReview", "tokenreviews", "", "", false, CREATE, ""),
        ],
    ),
    ("authorization.k8s.io", "v1", AUTHORIZATION),
    (
        "autoscaling",
        "v2",
        &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "all", true, ALL, "status")],
    ),
    (
        "autoscaling",
        "v1",
        &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "all", true, ALL, "status")],
    ),
    (
        "batch",
        "v1",
        &[("CronJob", "cronjobs", "cj", "all", true, ALL, "status"), ("Job", "jobs", "", "all", true, ALL, "status")],
    ),
    (
        "certificates.k8s.io",
        "v1",
        &[("CertificateSigningRequest", "certificatesigningrequests", "csr", "", false, ALL, "approval status")],
    ),
    ("networking.k8s.io", "v1", NETWORKING),
    ("policy", "v1", &[("PodDisruptionBudget", "poddisruptionbudgets", "pdb", "", true, ALL, "status")]),
    ("rbac.authorization.k8s.io", "v1", RBAC),
    ("storage.k8s.io", "v1", STORAGE),
    ("admissionregistration.k8s.io", "v1", ADMISSION),
    (
        "apiextensions.k8s.io",
        "v1",
        &[(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "crd,crds",
            "api-extensions",
            false,
            ALL,
            "status",
        )],
    ),
    ("scheduling.k8s.io", "v1", &[("PriorityClass", "priorityclasses", "pc", "", false, ALL, "")]),
    ("coordination.k8s.io", "v1", &[("Lease", "leases", "", "", true, ALL, "")]),
    ("node.k8s.io", "v1", &[("RuntimeClass", "runtimeclasses", "", "", false, ALL, "")]),
    ("discovery.k8s.io", "v1", &[("EndpointSlice", "endpointslices", "", "", true, ALL, "")]),
    (
        "resource.k8s.io",
        "v1",
        &[
            ("DeviceClass", "deviceclasses", "", "", false, ALL, ""),
            ("ResourceClaim", "resourceclaims", "", "", true, ALL, "status"),
            ("ResourceClaimTemplate", "resourceclaimtemplates", "", "", true, ALL, ""),
            ("ResourceSlice", "resourceslices", "", "", false, ALL, ""),
        ],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "v1",
        &[
            ("FlowSchema", "flowschemas", "", "", false, ALL, "status"),
            ("PriorityLevelConfiguration", "prioritylevelconfigurations", "", "", false, ALL, "status"),
        ],
    ),
];

/// Every built-in kind.
pub fn builtin() -> Vec<Resource> {
    let rows = GROUPS.iter().flat_map(|(group, version, rows)| rows.iter().map(move |row| (*group, *version, row)));
    rows.map(|(group, version, row)| resource(group, version, row)).collect()
}

fn resource(group: &str, version: &str, row: &Row) -> Resource {
    let &(kind, plural, short_names, categories, namespaced, verbs, subresources) = row;
    let (storage_group, storage_version) = match (group, kind) {
        ("events.k8s.io", _) => ("", "v1"),
        ("autoscaling", _) => ("autoscaling", "v2"),
        _ => (group, version),
    };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: list(short_names, ','),
        categories: list(categories, ','),
        namespaced,
        verbs,
        subresources: list(subresources, ' ').iter().map(|name| subresource(kind, name)).collect(),
        storage: if storage_group.is_empty() { plural.to_owned() } else { format!("{plural}.{storage_group}") },
        storage_version: format!("{storage_group}/{storage_version}/{kind}"),
        custom: None,
    }
}

fn list(text: &str, separator: char) -> Vec<String> {
    text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn subresource(kind: &str, name: &str) -> Subresource {
    let (kind, group_version, verbs) = match (kind, name) {
        (_, "scale") => ("Scale", Some(("autoscaling", "v1")), CHANGE),
        (_, "finalize") => (kind, None, UPDATE),
        (_, "token") => ("TokenRequest", Some(("authentication.k8s.io", "v1")), CREATE),
        (_, "binding") => ("Binding", None, CREATE),
        (_, "eviction") => ("Eviction", Some(("policy", "v1")), CREATE),
        (_, "log") => (kind, None, GET),
        ("Pod", "attach") => ("PodAttachOptions", None, CONNECT),
        ("Pod", "exec") => ("PodExecOptions", None, CONNECT),
        ("Pod", "portforward") => ("PodPortForwardOptions", None, CONNECT),
        ("Pod", "proxy") => ("PodProxyOptions", None, PROXY),
        ("Node", "proxy") => ("NodeProxyOptions", None, PROXY),
        ("Service", "proxy") => ("ServiceProxyOptions", None, PROXY),
        _ => (kind, None, CHANGE),
    };
    Subresource { name: name.to_owned(), kind: kind.to_owned(), group_version, verbs }
}
