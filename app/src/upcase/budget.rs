//! How much is asked again. Without a bound, a service in trouble would get a multiple of its load.

use std::sync::atomic::{AtomicU32, Ordering};

/// A request earns a tenth of a retry.
const COST: u32 = 10;
/// What may be saved up.
const MOST: u32 = 10 * COST;

/// What is left for retries.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(MOST))
    }
}

impl Budget {
    /// For a request that is made for the first time.
    pub(super) fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved < MOST).then_some(saved + 1));
    }

    /// Whether it may be made again.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_asked_again() {
        let budget = Budget::default();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        let again = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(again.count(), 100);
    }
}
