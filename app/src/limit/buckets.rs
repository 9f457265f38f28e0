//! Counting requests in a fixed amount of memory, however many clients there are.
//!
//! Each client has one bucket in each of several rows, chosen by a hash that nobody outside can compute. It may pass
//! while one of them has room, and then adds to all. A client that shares a bucket has most likely others to itself; no
//! client ever gets more than its share, whoever else comes. This is a count-min sketch, whose counters are those of the
//! generic cell rate algorithm (ITU-T I.371): the time at which a bucket is empty again.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const ROWS: usize = 4;
/// Buckets of a row, in all parts together: half a megabyte.
const COLUMNS: usize = 16 * 1024;
/// Each has a lock of its own, so that cores seldom wait for each other.
const PARTS: usize = 16;
/// Columns of a part.
const WIDTH: usize = COLUMNS / PARTS;

#[derive(Debug)]
pub(super) struct Buckets {
    began: Instant,
    hash: RandomState,
    /// One row after the other. What nobody has used yet takes no memory: zeros come from the system as they are needed.
    parts: Box<[Mutex<Box<[u64]>>]>,
    /// Nanoseconds between two requests.
    interval: u64,
    /// How far ahead of now a bucket may be filled.
    depth: u64,
}

impl Buckets {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        let interval = interval.as_nanos() as u64;
        Self {
            began: Instant::now(),
            hash: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::new(vec![0; ROWS * WIDTH].into_boxed_slice())).collect(),
            interval,
            depth: interval.saturating_mul(burst.into()),
        }
    }

    /// Counts a request, or says after which time there is room for one.
    pub(super) fn take(&self, client: IpAddr) -> Result<(), Duration> {
        self.take_at(client, self.began.elapsed().as_nanos() as u64)
    }

    fn take_at(&self, client: IpAddr, now: u64) -> Result<(), Duration> {
        let hash = self.hash.hash_one(client);
        let part = &self.parts[hash as usize % PARTS];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        // Sixty bits are left, fifteen for each row.
        let place = |row: usize| row * WIDTH + (hash >> (4 + 15 * row)) as usize % WIDTH;
        let emptiest = (0..ROWS).map(|row| part[place(row)]).min().unwrap_or_default().max(now);
        let latest = now + self.depth;
        if emptiest + self.interval > latest {
            return Err(Duration::from_nanos(emptiest + self.interval - latest));
        }
        for row in 0..ROWS {
            let bucket = &mut part[place(row)];
            // Never further ahead than what one client could have filled, or others would wait for long.
            *bucket = ((*bucket).max(now) + self.interval).min(latest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn client(number: u32) -> IpAddr {
        IpAddr::from(Ipv4Addr::from(number))
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let buckets = Buckets::new(Duration::from_millis(100), 5);
        let take = |now| buckets.take_at(client(1), now);
        for _ in 0..5 {
            assert_eq!(take(SECOND), Ok(()));
        }
        assert_eq!(take(SECOND), Err(Duration::from_millis(100)));
        assert_eq!(take(SECOND + SECOND / 20), Err(Duration::from_millis(50)));
        assert_eq!(take(SECOND + SECOND / 10), Ok(()));
        assert_eq!(take(SECOND + SECOND / 10), Err(Duration::from_millis(100)));
        // Rested for long it has its burst again, and no more.
        assert_eq!((0..9).filter(|_| take(100 * SECOND).is_ok()).count(), 5);
    }

    /// Ten times as many clients as buckets, each of which asks for more than it may have: none gets more, and one that
    /// comes among a thousand of them is served.
    #[test]
    fn no_crowd_changes_what_one_client_gets() {
        let buckets = Buckets::new(Duration::from_millis(100), 3);
        let passed = |number| (0..5).filter(|_| buckets.take_at(client(number), SECOND).is_ok()).count();
        let all: Vec<usize> = (0..10 * COLUMNS as u32).map(passed).collect();
        assert!(all.iter().all(|passed| *passed <= 3));
        // A part has 1024 columns, and some 62 of the thousand: four buckets are rarely all theirs.
        assert!(all[..1000].iter().filter(|passed| **passed == 3).count() >= 990);
    }
}
