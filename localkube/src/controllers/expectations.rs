//! What a controller of pods has done and its cache has not shown yet, so that a stale cache never makes it act twice.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// After this long an answer that never came is not waited for any more (kube-controller-manager's
/// ExpectationsTimeout).
const PATIENCE: Duration = Duration::from_secs(300);

/// When to look again for what no watch brings.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Longer than a list takes to arrive.
const JUST_NOW: Duration = Duration::from_secs(10);

/// By owner and pod.
#[derive(Debug, Default)]
pub(crate) struct Expectations(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    // By the owner's UID: a new one of the same name starts afresh.
    created: HashMap<String, HashMap<String, Instant>>,
    deleted: HashMap<String, HashMap<String, Instant>>,
    // Pods that the watch showed before the answer to their creation arrived.
    seen: HashMap<String, HashSet<String>>,
}

impl Expectations {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the cache shows all that was done.
    pub(crate) fn met(&self, owner: &str) -> bool {
        let now = Instant::now();
        let mut known = self.known();
        let Known { created, deleted, seen } = &mut *known;
        let mut met = true;
        for map in [created, deleted] {
            if let Some(waiting) = map.get_mut(owner) {
                waiting.retain(|_, since| now.duration_since(*since) < PATIENCE);
                met &= waiting.is_empty();
            }
        }
        if met {
            seen.remove(owner);
        }
        met
    }

    /// A pod was created; the cache is to show it.
    pub(crate) fn created(&self, owner: &str, pod: &str) {
        let mut known = self.known();
        if !known.seen.get(owner).is_some_and(|seen| seen.contains(pod)) {
            known.created.entry(owner.to_owned()).or_default().insert(pod.to_owned(), Instant::now());
        }
    }

    /// A pod is about to be deleted; the cache is to show it going. Told before the request, as the watch may be
    /// faster than the answer.
    pub(crate) fn deleting(&self, owner: &str, pod: &str) {
        self.known().deleted.entry(owner.to_owned()).or_default().insert(pod.to_owned(), Instant::now());
    }

    /// Whether the pod was deleted and the cache does not show it yet.
    pub(crate) fn is_leaving(&self, owner: &str, pod: &str) -> bool {
        self.known().deleted.get(owner).is_some_and(|waiting| waiting.contains_key(pod))
    }

    /// The cache shows the pod; `going` if it is being deleted or gone.
    pub(crate) fn observe(&self, owner: &str, pod: &str, going: bool) {
        let mut known = self.known();
        if let Some(waiting) = known.created.get_mut(owner) {
            waiting.remove(pod);
        }
        known.seen.entry(owner.to_owned()).or_default().insert(pod.to_owned());
        if going && let Some(waiting) = known.deleted.get_mut(owner) {
            waiting.remove(pod);
        }
    }

    /// The pod could not be deleted.
    pub(crate) fn not_deleted(&self, owner: &str, pod: &str) {
        self.observe(owner, pod, true);
    }

    /// A whole list came: what was done well before is in it or gone. What was done just now may be younger than the
    /// list; the watch that follows will show it.
    pub(crate) fn relisted(&self) {
        let now = Instant::now();
        let mut known = self.known();
        let Known { created, deleted, .. } = &mut *known;
        for waiting in created.values_mut().chain(deleted.values_mut()) {
            waiting.retain(|_, since| now.duration_since(*since) < JUST_NOW);
        }
    }

    /// The owner is gone.
    pub(crate) fn forget(&self, owner: &str) {
        let mut known = self.known();
        known.created.remove(owner);
        known.deleted.remove(owner);
        known.seen.remove(owner);
    }
}
