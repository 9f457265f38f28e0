//! Waiting for what AWS does: with a deadline, and words on how long it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    error::{Error, Result},
    ui::Step,
};

/// How many minutes AWS usually takes.
pub(super) mod typical {
    pub(in super::super) const CLUSTER: u32 = 10;
    pub(in super::super) const CONFIGURE: u32 = 3;
    pub(in super::super) const STACK: u32 = 2;
    pub(in super::super) const NODES: u32 = 4;
    pub(in super::super) const DRAIN: u32 = 5;
    pub(in super::super) const UPDATE: u32 = 10;
}

/// What a look at something shows.
pub(super) enum Seen<T> {
    /// It is as it should be.
    Done(T),
    /// Not yet; AWS's word for what it is.
    Not(String),
}

/// How often is looked: soon at first, since an emulator is quick, and less and less.
const POLL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// What is waited for, and for how long.
pub(super) struct Wait<'a> {
    pub(super) step: &'a Step,
    /// `cluster demo`
    pub(super) what: String,
    /// How long it usually takes.
    pub(super) typical: Duration,
    /// How long it may take.
    pub(super) limit: Duration,
}

impl Wait<'_> {
    /// Looks until it is done.
    ///
    /// # Errors
    /// What a look ends with, or that the time is over.
    pub(super) async fn until<T>(&self, look: impl AsyncFn() -> Result<Seen<T>>) -> Result<T> {
        let began = Instant::now();
        let mut pause = POLL.0;
        loop {
            let state = match look().await? {
                Seen::Done(value) => return Ok(value),
                Seen::Not(state) => state,
            };
            let (took, typical) = (began.elapsed().as_secs(), minutes(self.typical));
            self.step.update(format!("{}: {state}, {took}s of usually {typical}", self.what));
            if began.elapsed() > self.limit {
                return Err(Error::timed_out(format!("{} is {state} after {}", self.what, minutes(self.limit)))
                    .hint("run the same command again: it goes on from what is there"));
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(POLL.1);
        }
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 60 => format!("{seconds}s"),
        seconds => format!("{}m", seconds.div_ceil(60)),
    }
}
