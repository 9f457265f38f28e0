//! Leaving a service alone that keeps failing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Opens after failures in a row, and lets one request try after a pause.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Requests pass; so many have failed in a row.
    Closed(u32),
    /// None passes until then.
    Open(Instant),
    /// One has passed, and its outcome decides.
    Trying,
}

/// Leave to ask. If nothing is said about the outcome, the asker gave up, and the next one may try.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    said: bool,
}

impl Breaker {
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self { failures, pause, state: Mutex::new(State::Closed(0)) }
    }

    /// Leave to ask, or for how long there is none.
    pub(super) fn leave(&self) -> Result<Leave<'_>, Duration> {
        let mut state = self.state();
        match *state {
            State::Closed(_) => {}
            State::Open(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::Trying;
            }
            State::Trying => return Err(self.pause),
        }
        Ok(Leave { breaker: self, said: false })
    }

    /// Whether requests are kept from passing, but for one that tries.
    pub(super) fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed(_))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// It answered.
    pub(super) fn succeeded(mut self) {
        self.said = true;
        let mut state = self.breaker.state();
        if matches!(*state, State::Open(_)) {
            // A straggler from before; others know better.
            return;
        }
        if matches!(*state, State::Trying) {
            tracing::info!("the upcasing service answers again");
        }
        *state = State::Closed(0);
    }

    /// It did not.
    pub(super) fn failed(mut self) {
        self.said = true;
        let mut state = self.breaker.state();
        let failures = match *state {
            State::Closed(failures) => failures + 1,
            State::Open(_) => return,
            State::Trying => self.breaker.failures,
        };
        *state = if failures < self.breaker.failures {
            State::Closed(failures)
        } else {
            tracing::warn!(pause = ?self.breaker.pause, "the upcasing service keeps failing and is left alone");
            State::Open(Instant::now() + self.breaker.pause)
        };
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if !self.said && matches!(*state, State::Trying) {
            *state = State::Open(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_and_lets_one_try() {
        let pause = Duration::from_secs(5);
        let breaker = Breaker::new(2, pause);
        breaker.leave().unwrap().failed();
        breaker.leave().unwrap().succeeded();
        breaker.leave().unwrap().failed();
        breaker.leave().unwrap().failed();
        assert_eq!(breaker.leave().unwrap_err(), pause);
        tokio::time::advance(pause).await;
        let trial = breaker.leave().unwrap();
        assert!(breaker.leave().is_err(), "only one tries");
        trial.failed();
        assert_eq!(breaker.leave().unwrap_err(), pause);
        tokio::time::advance(pause).await;
        // Whoever tried has gone away.
        drop(breaker.leave().unwrap());
        breaker.leave().unwrap().succeeded();
        breaker.leave().unwrap().failed();
        drop(breaker.leave().unwrap());
    }
}
