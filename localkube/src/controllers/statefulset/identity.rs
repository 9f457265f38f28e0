//! Who the pods of a StatefulSet are: their names, labels and claims.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec},
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

use crate::controllers::{owners::controller_reference, revisions};

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The pod's ordinal, if its name is one that the set gives.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let name = pod.name_any();
    let number = name.strip_prefix(&set.name_any())?.strip_prefix('-')?;
    let ordinal = number.parse().ok()?;
    // Neither 01 nor +1.
    (format!("{ordinal}") == number).then_some(ordinal)
}

/// The pod of an ordinal, from a revision's template.
pub(super) fn pod(set: &StatefulSet, template: PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let spec = set.spec.clone().unwrap_or_default();
    let name = format!("{}-{ordinal}", set.name_any());
    let metadata = template.metadata.unwrap_or_default();
    let mut labels = metadata.labels.unwrap_or_default();
    labels.insert(NAME_LABEL.into(), name.clone());
    labels.insert(INDEX_LABEL.into(), ordinal.to_string());
    labels.insert(revisions::LABEL.into(), revision.to_owned());
    let mut pod_spec = template.spec.unwrap_or_default();
    pod_spec.hostname = Some(name.clone());
    pod_spec.subdomain = spec.service_name.clone().filter(|name| !name.is_empty());
    let mut volumes: Vec<Volume> = claims(set, &spec, ordinal)
        .into_iter()
        .map(|(volume, claim)| Volume {
            name: volume,
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.name_any(),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    // A claim stands in for a volume of its name in the template.
    let given = pod_spec.volumes.take().unwrap_or_default();
    let replaced: Vec<String> = volumes.iter().map(|volume| volume.name.clone()).collect();
    volumes.extend(given.into_iter().filter(|volume| !replaced.contains(&volume.name)));
    pod_spec.volumes = (!volumes.is_empty()).then_some(volumes);
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: set.namespace(),
            labels: Some(labels),
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: Some(pod_spec),
        status: None,
    }
}

/// The claims of an ordinal's pod, by volume.
pub(super) fn claims(
    set: &StatefulSet,
    spec: &StatefulSetSpec,
    ordinal: i32,
) -> BTreeMap<String, PersistentVolumeClaim> {
    let templates = spec.volume_claim_templates.iter().flatten();
    templates
        .map(|template| {
            let volume = template.name_any();
            let mut claim = template.clone();
            claim.metadata.name = Some(format!("{volume}-{}-{ordinal}", set.name_any()));
            claim.metadata.namespace = set.namespace();
            let labels = claim.metadata.labels.get_or_insert_default();
            labels.extend(spec.selector.match_labels.clone().unwrap_or_default());
            claim.status = None;
            (volume, claim)
        })
        .collect()
}

/// Who a claim belongs to (KEP-1847): nobody, or the set with which it goes, or the surplus pod with which it goes.
pub(super) fn owner_of_claim(set: &StatefulSet, pod: Option<&Pod>, condemned: bool) -> Option<OwnerReference> {
    let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.clone());
    let policy = policy.unwrap_or_default();
    let deletes = |when: Option<String>| when.as_deref() == Some("Delete");
    if condemned && deletes(policy.when_scaled) {
        return pod.map(controller_reference);
    }
    deletes(policy.when_deleted).then(|| controller_reference(set))
}
