//! The ReplicaSet that belongs to a Deployment's template: its name, its hash, how it is found again.

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec},
    core::v1::PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::controllers::{hash::hash, owners::controller_reference};

pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Whether two templates make the same pods: the hash label aside.
fn same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let labels = |template: &PodTemplateSpec| {
        let mut labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
        labels.remove(HASH_LABEL);
        labels
    };
    let annotations = |template: &PodTemplateSpec| {
        template.metadata.as_ref().and_then(|meta| meta.annotations.clone()).unwrap_or_default()
    };
    a.spec == b.spec && labels(a) == labels(b) && annotations(a) == annotations(b)
}

/// Whether the ReplicaSet was made from the Deployment's present template.
pub(super) fn matches(deployment: &Deployment, set: &ReplicaSet) -> bool {
    match (&deployment.spec, set.spec.as_ref().and_then(|spec| spec.template.as_ref())) {
        (Some(spec), Some(template)) => same(&spec.template, template),
        _ => false,
    }
}

/// The ReplicaSet of the Deployment's present template, of size 0.
pub(super) fn replica_set(deployment: &Deployment) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.into(), hash.clone());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds.filter(|seconds| *seconds != 0),
            selector,
            template: Some(template),
        }),
        status: None,
    }
}
