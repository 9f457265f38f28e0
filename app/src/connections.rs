//! How many connections are open, and which of them may go.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

/// All that are open.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    began: Instant,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    gone: Notify,
}

/// One of them.
#[derive(Debug, Default)]
pub struct Connection {
    /// Requests that wait for their answer.
    busy: AtomicUsize,
    served: AtomicBool,
    /// Since when it is at rest, in nanoseconds since the beginning.
    rests: AtomicU64,
    told: AtomicBool,
    close: Notify,
}

impl Connections {
    /// More than `limit` are closed, as long as any is at rest.
    pub fn new(limit: usize) -> Self {
        let (next, open) = (AtomicU64::default(), Mutex::default());
        Self { limit, began: Instant::now(), next, open, gone: Notify::new() }
    }

    /// Takes a new connection in, and tells the one that has been at rest the longest to close if it is one too many.
    /// If none is at rest, the new one can't be taken.
    pub fn enter(self: &Arc<Self>) -> Option<Guard> {
        let mut open = self.open();
        if open.len() >= self.limit {
            let resting = open
                .iter()
                .filter(|(_, one)| one.busy.load(Ordering::Relaxed) == 0 && !one.told.load(Ordering::Relaxed));
            // Of those that came at the same moment, the one that came first.
            let (_, oldest) = resting.min_by_key(|(number, one)| (one.rests.load(Ordering::Relaxed), **number))?;
            oldest.told.store(true, Ordering::Relaxed);
            oldest.close.notify_one();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::default());
        connection.rests.store(self.now(), Ordering::Relaxed);
        open.insert(number, connection.clone());
        Some(Guard { all: self.clone(), number, connection })
    }

    /// Returns once none is open.
    pub async fn none(&self) {
        loop {
            let gone = self.gone.notified();
            if self.open().is_empty() {
                return;
            }
            gone.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

/// A connection's place, for as long as it is open.
#[derive(Debug)]
pub struct Guard {
    all: Arc<Connections>,
    number: u64,
    connection: Arc<Connection>,
}

impl Guard {
    /// A request has arrived; it is under way until what is returned goes.
    pub fn request(&self) -> Busy {
        self.connection.served.store(true, Ordering::Relaxed);
        self.connection.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.all.clone(), self.connection.clone())
    }

    /// Whether any request has arrived.
    pub fn has_served(&self) -> bool {
        self.connection.served.load(Ordering::Relaxed)
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.connection.busy.load(Ordering::Relaxed) > 0
    }

    /// Returns when it has to make room for another one.
    pub async fn unwanted(&self) {
        self.connection.close.notified().await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.all.open().remove(&self.number);
        self.all.gone.notify_one();
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct Busy(Arc<Connections>, Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.1.rests.store(self.0.now(), Ordering::Relaxed);
        self.1.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_those_that_came_together_the_first_makes_room() {
        let all = Arc::new(Connections::new(10));
        let guards: Vec<_> = (0..10).map(|_| all.enter().unwrap()).collect();
        let one_more = all.enter().unwrap();
        guards[0].unwanted().await;
        drop((guards, one_more));
        all.none().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_longest_at_rest_makes_room() {
        let all = Arc::new(Connections::new(2));
        let first = all.enter().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = all.enter().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(first.request());
        let third = all.enter().unwrap();
        second.unwanted().await;
        drop(second);
        let (_busy, _too) = (first.request(), third.request());
        assert!(all.enter().is_none(), "nothing rests");
        drop((first, third));
        all.none().await;
    }
}
