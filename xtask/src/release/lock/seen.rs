//! What is seen of a lock while it is watched, by our own clock.

use jiff::Timestamp;
use tokio::time::Instant;

use super::view::Theirs;
use crate::release::Holder;

/// What was seen of a lock that another one holds.
pub(super) struct Seen {
    id: String,
    renewed: Option<Timestamp>,
    /// When it was first seen so, by our own clock.
    since: Instant,
    /// Whether it was renewed while we watched.
    pub(super) alive: bool,
}

impl Seen {
    pub(super) fn update<'a>(seen: &'a mut Option<Self>, theirs: &Theirs) -> &'a Self {
        let fresh = |alive| Self { id: theirs.id.clone(), renewed: theirs.renewed, since: Instant::now(), alive };
        let seen = seen.get_or_insert_with(|| fresh(false));
        if (seen.id.as_str(), seen.renewed) != (theirs.id.as_str(), theirs.renewed) {
            *seen = fresh(true);
        }
        seen
    }

    /// Whether the lock may be taken over, and what is to be said about it.
    pub(super) fn over(&self, theirs: &Theirs, ours: &Holder) -> Option<Option<String>> {
        let took = |why: String| Some(Some(format!("took over the lock of {}, {why}", theirs.named())));
        match &theirs.holder {
            _ if theirs.id.is_empty() || theirs.id == ours.id => Some(None),
            Some(holder) if holder.is_dead() => took("whose process has ended".into()),
            _ if self.since.elapsed() >= theirs.duration => {
                took(format!("which did not renew it for {} s", theirs.duration.as_secs()))
            }
            _ => None,
        }
    }
}
