//! Who owns what: controller references, selectors, adoption and release.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

pub(crate) type Labels = BTreeMap<String, String>;

/// The reference to the controller that manages the object.
pub(crate) fn controller_of<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object.meta().owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether the object is managed by the owner with this UID.
pub(crate) fn is_controlled_by<K: Resource>(object: &K, uid: &str) -> bool {
    controller_of(object).is_some_and(|owner| owner.uid == uid)
}

/// The reference that what `owner` creates carries.
pub(crate) fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether the labels satisfy the selector (meta/v1 LabelSelector: every requirement, an empty one selects all).
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = || requirement.values.iter().flatten().any(|one| Some(one) == value);
            match requirement.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Whether the selector selects everything.
pub(crate) fn selects_all(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// What a controller does about an object that it may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is ours.
    Ours,
    /// It fits and has no controller: take it.
    Adopt,
    /// It is ours and fits no longer: let it go.
    Release,
    /// Not our business.
    Foreign,
}

/// Decides as kube-controller-manager's ControllerRefManager does. An owner or object under deletion adopts and
/// releases nothing.
pub(crate) fn claim<O: Resource, K: Resource>(owner: &O, selector: &LabelSelector, object: &K) -> Claim {
    let fits = selects(selector, object.labels());
    match controller_of(object) {
        Some(controller) if Some(&controller.uid) != owner.meta().uid.as_ref() => Claim::Foreign,
        Some(_) if fits => Claim::Ours,
        Some(_) if owner.meta().deletion_timestamp.is_some() => Claim::Foreign,
        Some(_) => Claim::Release,
        None if !fits
            || owner.meta().deletion_timestamp.is_some()
            || object.meta().deletion_timestamp.is_some()
            || owner.meta().namespace != object.meta().namespace =>
        {
            Claim::Foreign
        }
        None => Claim::Adopt,
    }
}

/// The strategic merge patch by which an owner takes an object. The UID makes it fail on another object of that name.
pub(crate) fn adoption<O: Resource<DynamicType = ()>, K: Resource>(owner: &O, object: &K) -> Value {
    json!({"metadata": {"ownerReferences": [controller_reference(owner)], "uid": object.meta().uid}})
}

/// The strategic merge patch by which an owner lets an object go.
pub(crate) fn release<O: Resource, K: Resource>(owner: &O, object: &K) -> Value {
    let reference = json!({"$patch": "delete", "uid": owner.meta().uid});
    json!({"metadata": {"ownerReferences": [reference], "uid": object.meta().uid}})
}
