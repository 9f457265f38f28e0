//! Which ReplicaSets of a Deployment to resize, from one snapshot. The rules are those of the Kubernetes deployment
//! controller; each function is one of its decisions.

use std::{cmp::Reverse, sync::Arc};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::{annotations, template};
use crate::controllers::numbers::{Round, scaled};

/// The ReplicaSets of one Deployment.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets {
    /// The one of the present template.
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// The others, oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    /// Sorts the ReplicaSets into new and old. Should two have the present template, the older one is the new one.
    pub(super) fn of(deployment: &Deployment, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        sets.sort_by(|a, b| annotations::by_creation(a, b));
        let new = sets.iter().position(|set| template::matches(deployment, set)).map(|index| sets.remove(index));
        Self { new, old: sets }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    fn active(&self) -> Vec<&Arc<ReplicaSet>> {
        self.all().filter(|set| wanted(set) > 0).collect()
    }

    pub(super) fn wanted(&self) -> i32 {
        self.all().map(|set| wanted(set)).sum()
    }

    pub(super) fn available(&self) -> i32 {
        self.all().map(|set| available(set)).sum()
    }
}

/// One ReplicaSet and the size it is to have; equal to its present one, only the annotations are brought up to date.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resize {
    pub(super) set: Arc<ReplicaSet>,
    pub(super) to: i32,
}

/// The replicas asked for by a ReplicaSet.
pub(super) fn wanted(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The available pods, without those that the ReplicaSet has been told to give up and has not yet.
fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0).min(wanted(set))
}

/// Whether the status is about the present size. Sized up again before it noticed that it was sized down, a ReplicaSet
/// still reports pods that are going.
fn is_current(set: &ReplicaSet) -> bool {
    wanted(set) == 0 || set.status.as_ref().and_then(|status| status.observed_generation) >= set.metadata.generation
}

/// The replicas asked for by a Deployment.
pub(super) fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether the Deployment replaces pods gradually.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// maxSurge and maxUnavailable in pods. Both may round to 0, which would stop a rollout: then one may be unavailable.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref())
        .and_then(|strategy| strategy.rolling_update.clone())
        .unwrap_or_default();
    let replicas = replicas(deployment);
    let surge = rolling.max_surge.and_then(|value| scaled(&value, replicas, Round::Up)).unwrap_or(0);
    let unavailable = rolling.max_unavailable.and_then(|value| scaled(&value, replicas, Round::Down)).unwrap_or(0);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// How many pods there may be above the wanted number.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { fenceposts(deployment).0 } else { 0 }
}

/// How many pods may be missing from the wanted number.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { fenceposts(deployment).1.min(replicas(deployment)) } else { 0 }
}

/// The size that the new ReplicaSet is to have now, within the surge.
pub(super) fn new_size(deployment: &Deployment, present: i32, all: i32) -> i32 {
    let wanted = replicas(deployment);
    if !is_rolling(deployment) {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - all;
    if room <= 0 { present } else { present + room.min(wanted - present) }
}

/// The next step of a rolling update: first the new ReplicaSet as far as the surge allows, then the old ones as far as
/// what is available allows; never both in one step.
pub(super) fn roll(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let Some(new) = &sets.new else { return Vec::new() };
    let size = match wanted(new) {
        size if size > replicas(deployment) => replicas(deployment),
        size => new_size(deployment, size, sets.wanted()),
    };
    if size != wanted(new) {
        return vec![Resize { set: new.clone(), to: size }];
    }
    if !sets.all().all(|set| is_current(set)) {
        return Vec::new();
    }
    let least = replicas(deployment) - max_unavailable(deployment);
    // What the new ReplicaSet promises and has not yet must not be counted on twice.
    let unproven = wanted(new) - available(new);
    let surplus = sets.wanted() - least - unproven;
    if surplus <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = sets.old.iter().map(|set| wanted(set)).collect();
    // Unhealthy pods of old ReplicaSets serve nobody: they go first, or a broken rollout could block its repair.
    let mut left = surplus;
    for (size, set) in sizes.iter_mut().zip(&sets.old) {
        let unhealthy = (*size - available(set)).clamp(0, left);
        *size -= unhealthy;
        left -= unhealthy;
    }
    let mut left = (sets.available() - least).max(0);
    for size in &mut sizes {
        let step = left.min(*size);
        *size -= step;
        left -= step;
    }
    resizes(&sets.old, &sizes)
}

fn resizes(sets: &[Arc<ReplicaSet>], sizes: &[i32]) -> Vec<Resize> {
    let pairs = sets.iter().zip(sizes);
    pairs
        .filter(|(set, size)| wanted(set) != **size)
        .map(|(set, size)| Resize { set: set.clone(), to: *size })
        .collect()
}

/// Recreate: every old ReplicaSet to nothing.
pub(super) fn stop_old(sets: &Sets) -> Vec<Resize> {
    resizes(&sets.old, &vec![0; sets.old.len()])
}

/// Whether the Deployment was scaled since its ReplicaSets were.
pub(super) fn is_scaling(deployment: &Deployment, sets: &Sets) -> bool {
    let differs = |set: &ReplicaSet| {
        annotations::number(set, annotations::DESIRED).is_some_and(|desired| desired != replicas(deployment))
    };
    sets.active().iter().any(|set| differs(set))
}

/// What scaling the Deployment means for its ReplicaSets: all of it for a single one, a proportional part for each in
/// the middle of a rollout.
pub(super) fn scale(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let wanted_now = replicas(deployment);
    let mut active = sets.active();
    let single = match active.as_slice() {
        [] => sets.new.as_ref().or(sets.old.last()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(set) = single {
        let resize = Resize { set: set.clone(), to: wanted_now };
        return if wanted(set) == wanted_now { Vec::new() } else { vec![resize] };
    }
    if active.is_empty() {
        return Vec::new();
    }
    let saturated = |set: &&Arc<ReplicaSet>| {
        annotations::number(set, annotations::DESIRED) == Some(wanted_now)
            && wanted(set) == wanted_now
            && available(set) == wanted_now
    };
    if sets.new.as_ref().is_some_and(|set| saturated(&set)) {
        return stop_old(sets);
    }
    if !is_rolling(deployment) {
        return Vec::new();
    }
    let allowed = if wanted_now > 0 { wanted_now + max_surge(deployment) } else { 0 };
    let to_add = allowed - active.iter().map(|set| wanted(set)).sum::<i32>();
    // The largest ones bear the most; among equals growth favours the newer and shrinking takes from the older.
    active.sort_by(|a, b| annotations::by_creation(a, b));
    if to_add > 0 {
        active.reverse();
    }
    active.sort_by_key(|set| Reverse(wanted(set)));
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for set in &active {
        let part = proportion(deployment, set, to_add, added);
        added += part;
        sizes.push(wanted(set) + part);
    }
    // What rounding left over goes to the largest.
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    // Even one that keeps its size is told the new total, or it would look unscaled for ever.
    active.into_iter().zip(sizes).map(|(set, to)| Resize { set: set.clone(), to }).collect()
}

fn proportion(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    let size = wanted(set);
    if size == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let part = if replicas(deployment) == 0 {
        -size
    } else {
        let now = replicas(deployment) + max_surge(deployment);
        let status = deployment.status.as_ref().and_then(|status| status.replicas);
        let before = annotations::number(set, annotations::MAX).filter(|max| *max != 0).or(status).unwrap_or(0);
        if before == 0 {
            return 0;
        }
        // To the nearest, halves away from zero; sizes are not negative.
        let (product, before) = (i64::from(size) * i64::from(now), i64::from(before));
        i32::try_from((2 * product + before) / (2 * before)).unwrap_or(i32::MAX) - size
    };
    let room = to_add - added;
    if to_add > 0 { part.min(room) } else { part.max(room) }
}

/// The old ReplicaSets beyond revisionHistoryLimit, that nothing runs of.
pub(super) fn forgettable(deployment: &Deployment, sets: &Sets) -> Vec<Arc<ReplicaSet>> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX).and_then(|limit| usize::try_from(limit).ok()) else {
        return Vec::new();
    };
    let mut old: Vec<_> = sets.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).cloned().collect();
    old.sort_by(|a, b| annotations::by_revision(a, b));
    old.truncate(old.len().saturating_sub(limit));
    let idle = |set: &ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        wanted(set) == 0 && status.replicas == 0 && set.metadata.generation <= status.observed_generation
    };
    old.retain(|set| idle(set));
    old
}
