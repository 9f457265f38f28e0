use std::sync::Arc;

use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::decide::{self, Next};

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn claim(class: Option<&str>, more: Value) -> PersistentVolumeClaim {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "resources": {"requests": {"storage": "1Gi"}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    from(json!({"metadata": {"name": "data", "namespace": "default", "uid": "c"}, "spec": spec}))
}

fn class(mode: &str) -> StorageClass {
    from(json!({"metadata": {"name": "fast"}, "provisioner": "example.com/disks", "volumeBindingMode": mode}))
}

/// The volume that is chosen, or the reason of the wait.
fn outcome(claim: &PersistentVolumeClaim, volumes: &[Value], class: Option<&StorageClass>) -> String {
    let volumes: Vec<_> = volumes.iter().map(|volume| Arc::new(from(volume.clone()))).collect();
    match decide::next(claim, &volumes, class) {
        Next::Bind(volume) => volume.metadata.name.clone().unwrap_or_default(),
        Next::Lost => "lost".into(),
        Next::Wait { reason, .. } => reason.into(),
    }
}

fn volume(name: &str, size: &str, class: &str, reference: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "capacity": {"storage": size}, "storageClassName": class, "claimRef": reference}})
}

#[test]
fn the_smallest_volume_that_is_enough_is_taken() {
    let volumes = [
        volume("small", "500Mi", "", Value::Null),
        volume("large", "10Gi", "", Value::Null),
        volume("right", "2Gi", "", Value::Null),
        volume("other", "1Gi", "fast", Value::Null),
        volume("taken", "1Gi", "", json!({"name": "x", "namespace": "default", "uid": "x"})),
    ];
    assert_eq!(outcome(&claim(Some(""), json!({})), &volumes, None), "right");
    assert_eq!(outcome(&claim(Some(""), json!({"accessModes": ["ReadWriteMany"]})), &volumes, None), "FailedBinding");
    assert_eq!(outcome(&claim(Some(""), json!({"volumeName": "large"})), &volumes, None), "large");
    assert_eq!(outcome(&claim(Some(""), json!({"volumeName": "taken"})), &volumes, None), "FailedBinding");
    let reserved = volume("mine", "100Gi", "", json!({"name": "data", "namespace": "default"}));
    assert_eq!(outcome(&claim(Some(""), json!({})), &[volumes[2].clone(), reserved], None), "mine");
}

#[test]
fn a_class_says_when_and_by_whom_a_volume_is_made() {
    let (later, now) = (class("WaitForFirstConsumer"), class("Immediate"));
    let mut claim = claim(Some("fast"), json!({}));
    assert_eq!(outcome(&claim, &[], None), "ProvisioningFailed");
    assert_eq!(outcome(&claim, &[], Some(&now)), "ExternalProvisioning");
    assert_eq!(outcome(&claim, &[], Some(&later)), "WaitForFirstConsumer");
    claim.metadata.annotations = Some([(decide::SELECTED_NODE.to_owned(), "one".to_owned())].into());
    assert_eq!(outcome(&claim, &[], Some(&later)), "ExternalProvisioning");
}

#[test]
fn a_bound_claim_whose_volume_is_gone_is_lost() {
    let mut claim = claim(None, json!({"volumeName": "gone"}));
    assert_eq!(outcome(&claim, &[], None), "FailedBinding");
    claim.metadata.annotations = Some([(super::BIND_COMPLETED.to_owned(), "yes".to_owned())].into());
    assert_eq!(outcome(&claim, &[], None), "lost");
}
