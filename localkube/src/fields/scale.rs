//! The ownership of a workload's `spec.replicas` as its scale subresource shows it: a Scale has no managedFields of its
//! own, they are those of the parent (k8s.io/apimachinery/pkg/util/managedfields/scalehandler.go).

use serde_json::Value;

use super::{
    managed::{self, Id, Owned, Owners},
    set::Set,
};

const SCALE_VERSION: &str = "autoscaling/v1";
const REPLICAS: [&str; 2] = ["spec", "replicas"];

fn has_replicas(set: &Set) -> bool {
    !set.intersection(&Set::from_path(&REPLICAS)).is_empty()
}

/// Writes into a Scale the owners that its parent's replicas have. Call it on the Scale as it is shown, before
/// [`super::apply`] or [`super::track_update`] on it.
pub fn show(parent: &Value, scale: &mut Value) {
    let owners = managed::read(parent).unwrap_or_default();
    let shown: Owners = owners
        .into_iter()
        .filter(|(_, owned)| has_replicas(&owned.set))
        .map(|(id, owned)| {
            let set = Set::from_path(&REPLICAS);
            let id = Id { version: id.version.map(|_| SCALE_VERSION.to_owned()), ..id };
            (id, Owned { set, version: SCALE_VERSION.to_owned(), time: owned.time })
        })
        .collect();
    managed::write(scale, &shown);
}

/// Writes the owners of a Scale that was changed back into its parent.
pub fn restore(scale: &Value, parent: &mut Value) {
    let api_version = parent.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut scaled: Owners = managed::read(scale).unwrap_or_default();
    let mut owners = Owners::new();
    for (id, mut owned) in managed::read(parent).unwrap_or_default() {
        if has_replicas(&owned.set) {
            let shown = Id { version: id.version.as_ref().map(|_| SCALE_VERSION.to_owned()), ..id.clone() };
            match scaled.remove(&shown) {
                Some(kept) => owned.time = kept.time,
                None => owned.set = owned.set.difference(&Set::from_path(&REPLICAS)),
            }
        }
        if !owned.set.is_empty() {
            owners.insert(id, owned);
        }
    }
    for (id, owned) in scaled.into_iter().filter(|(_, owned)| has_replicas(&owned.set)) {
        let id = Id { version: id.version.map(|_| api_version.clone()), ..id };
        let owned = Owned { set: Set::from_path(&REPLICAS), version: api_version.clone(), time: owned.time };
        owners.insert(id, owned);
    }
    managed::write(parent, &owners);
}
