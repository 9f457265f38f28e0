//! What becomes of one more event: a new one, one more of an earlier one, or nothing.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::Severity;

/// Distinct messages about one thing after which they are aggregated (client-go defaultAggregateMaxEvents).
const MOST_DISTINCT: usize = 10;
/// How long similar events count together (client-go defaultAggregateIntervalInSeconds).
const AGGREGATION_WINDOW: Duration = Duration::from_secs(600);
/// Events that one component may write at once about one object; then one in five minutes (client-go's spam filter).
const BURST: f64 = 25.0;
const REFILL_PER_SECOND: f64 = 1.0 / 300.0;
/// More memory than this for correlation means that a loop writes events about ever new objects: start over.
const MOST_REMEMBERED: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) component: &'static str,
    pub(super) object: String,
    pub(super) severity: Severity,
    pub(super) reason: &'static str,
}

/// What is to be written for one report.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// Nothing: the object has had too many.
    Dropped,
    /// A new event with this message.
    New { message: String, key: (Group, String) },
    /// One more of the event with this name.
    Again { name: String, message: String, count: i32, key: (Group, String) },
}

#[derive(Debug, Default)]
pub(super) struct Correlator {
    similar: HashMap<Group, (HashSet<String>, Instant)>,
    pub(super) written: HashMap<(Group, String), (String, i32)>,
    buckets: HashMap<(&'static str, String), (f64, Instant)>,
}

impl Correlator {
    pub(super) fn correlate(&mut self, group: Group, message: String, now: Instant) -> Written {
        if self.written.len() > MOST_REMEMBERED {
            *self = Self::default();
        }
        let bucket = self.buckets.entry((group.component, group.object.clone())).or_insert((BURST, now));
        let refilled = bucket.0 + now.duration_since(bucket.1).as_secs_f64() * REFILL_PER_SECOND;
        *bucket = (refilled.min(BURST), now);
        if bucket.0 < 1.0 {
            return Written::Dropped;
        }
        bucket.0 -= 1.0;
        let (messages, last) = self.similar.entry(group.clone()).or_insert_with(|| (HashSet::new(), now));
        if now.duration_since(*last) > AGGREGATION_WINDOW {
            messages.clear();
        }
        *last = now;
        messages.insert(message.clone());
        let (message, key) = if messages.len() < MOST_DISTINCT {
            (message.clone(), (group, message))
        } else {
            (format!("(combined from similar events): {message}"), (group, String::new()))
        };
        match self.written.get(&key) {
            Some((name, count)) => Written::Again { name: name.clone(), message, count: count + 1, key },
            None => Written::New { message, key },
        }
    }
}

#[cfg(test)]
mod tests;
