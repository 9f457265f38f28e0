//! Work to do, by key: each key is there once, is worked on by one worker at a time, and waits longer after each
//! failure.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// The namespace and the name of an object.
pub(crate) type Key = (String, String);

/// The wait after the first failure, as client-go's default rate limiter has it.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// On one machine nobody is helped by waiting longer.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A handle on the queue; clones share it.
#[derive(Debug)]
pub(crate) struct Queue<K>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    // The number keeps apart keys that are due at the same instant.
    delayed: BTreeMap<(Instant, u64), K>,
    sequence: u64,
    failures: HashMap<K, u32>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Debug + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                delayed: BTreeMap::new(),
                sequence: 0,
                failures: HashMap::new(),
            }),
            changed: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the key, unless it is there already.
    pub(crate) fn add(&self, key: K) {
        let mut state = self.state();
        if state.queued.insert(key.clone()) {
            state.ready.push_back(key);
            self.0.changed.notify_one();
        }
    }

    /// Queues the key when the time has passed.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.state();
        state.sequence += 1;
        let at = (Instant::now() + delay, state.sequence);
        // One key is delayed once at most: the earliest wins, or a steady stream of changes would pile up timers.
        if let Some(earlier) = state.delayed.iter().find(|(_, other)| **other == key).map(|(at, _)| *at) {
            if earlier <= at {
                return;
            }
            state.delayed.remove(&earlier);
        }
        state.delayed.insert(at, key);
        self.0.changed.notify_one();
    }

    fn retry(&self, key: K) {
        let failures = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        self.add_after(key, FIRST_RETRY.saturating_mul(1 << (failures - 1).min(20)).min(LONGEST_RETRY));
    }

    fn take(&self, now: Instant) -> Result<K, Option<Instant>> {
        let mut state = self.state();
        while let Some(entry) = state.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            if state.queued.insert(key.clone()) {
                state.ready.push_back(key);
            }
        }
        match state.ready.pop_front() {
            Some(key) => {
                state.queued.remove(&key);
                Ok(key)
            }
            None => Err(state.delayed.keys().next().map(|(at, _)| *at)),
        }
    }

    /// Waits for the next key to work on.
    pub(crate) async fn next(&self) -> K {
        loop {
            match self.take(Instant::now()) {
                Ok(key) => return key,
                Err(None) => self.0.changed.notified().await,
                Err(Some(at)) => {
                    let _ = tokio::time::timeout_at(at, self.0.changed.notified()).await;
                }
            }
        }
    }

    /// Tells how the work on the key went: what failed comes again, later each time.
    pub(crate) fn done<E: std::fmt::Display>(&self, controller: &str, key: K, result: Result<(), E>) {
        match result {
            Ok(()) => {
                self.state().failures.remove(&key);
            }
            Err(error) => {
                tracing::debug!(controller, ?key, %error, "retrying");
                self.retry(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In how many milliseconds the next key is due.
    fn due(queue: &Queue<&str>, from: Instant) -> u128 {
        let at = queue.take(from).expect_err("nothing is ready yet").expect("something is delayed");
        at.duration_since(from).as_millis()
    }

    #[test]
    fn a_key_is_queued_once_and_the_earliest_delay_wins() {
        let (queue, start) = (Queue::new(), Instant::now());
        queue.add_after("b", Duration::from_secs(9));
        queue.add_after("b", Duration::from_secs(3));
        queue.add_after("b", Duration::from_secs(6));
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.take(start), Ok("a"));
        assert!((3000..3500).contains(&due(&queue, start)));
        assert_eq!(queue.take(start + Duration::from_secs(4)), Ok("b"));
        assert_eq!(queue.take(start + Duration::from_secs(10)), Err(None));
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let queue = Queue::new();
        for expected in [5, 10, 20, 40] {
            let start = Instant::now();
            queue.done("test", "a", Err("no"));
            assert!((expected..expected + 500).contains(&due(&queue, start)));
            assert_eq!(queue.take(start + Duration::from_secs(2)), Ok("a"));
        }
        for _ in 0..40 {
            queue.done("test", "a", Err("no"));
            queue.take(Instant::now() + LONGEST_RETRY).expect("no wait is longer");
        }
        queue.done("test", "a", Ok::<(), &str>(()));
        let start = Instant::now();
        queue.done("test", "a", Err("no"));
        assert!(due(&queue, start) < 500);
    }

    #[tokio::test]
    async fn a_key_added_while_it_is_worked_on_is_worked_on_again() {
        let queue = Queue::new();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
    }
}
