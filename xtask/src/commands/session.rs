//! What a command that changes services holds meanwhile: the connection, the locks, and its own end in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use super::interrupt::Interrupt;
use crate::{
    cluster::{self, Connection, Purpose},
    config::{Environment, State, Unit},
    error::Result,
    plan::ownership,
    release::{self, Holder, Keeper, Ledger, Lock, Wait},
    ui::{Done, Outcome, Printer, Step},
};

/// How long letting go of the locks may take; they end by themselves if nobody renews them.
const CLOSING: Duration = Duration::from_secs(10);

/// One run of a command on some services of an environment.
pub(super) struct Session<'a> {
    pub(super) printer: &'a Printer,
    pub(super) environment: &'a Environment,
    pub(super) holder: Holder,
    /// In the order of their ids, in which locks are taken: two commands that wait cannot wait for each other.
    units: Vec<Unit<'a>>,
    interrupt: &'a Interrupt,
    /// Held while somebody is asked: services that go side by side must not ask at once.
    pub(super) asking: tokio::sync::Mutex<()>,
    wait: Wait,
    purpose: Purpose,
    cluster: OnceCell<Connection>,
    locked: OnceCell<()>,
    /// Whether a lock was asked for: it may be ours although no answer has come.
    asked: AtomicBool,
    locks: Mutex<BTreeMap<String, Arc<Lock>>>,
}

impl<'a> Session<'a> {
    /// A session of a command, `cargo xtask deploy --env NAME` for example, that connects and locks when it must.
    pub(super) async fn new(
        printer: &'a Printer,
        environment: &'a Environment,
        mut units: Vec<Unit<'a>>,
        interrupt: &'a Interrupt,
        command: &str,
        wait: Wait,
    ) -> Self {
        units.sort_by_key(|unit| ownership::id(*unit));
        let command = format!("cargo xtask {command} --env {}", environment.name);
        let holder = Holder::new(&environment.root, command).await;
        let (cluster, locked, locks) = (OnceCell::new(), OnceCell::new(), Mutex::default());
        let asking = tokio::sync::Mutex::default();
        Self {
            printer,
            environment,
            holder,
            units,
            interrupt,
            asking,
            wait,
            purpose: Purpose::Use,
            cluster,
            locked,
            asked: AtomicBool::new(false),
            locks,
        }
    }

    /// The same, in which the cluster is made what it is configured to be.
    pub(super) fn making(self) -> Self {
        Self { purpose: Purpose::Make, ..self }
    }

    /// The cluster; the first to ask connects.
    pub(super) async fn cluster(&self) -> Result<&Connection> {
        let connect = async |step: &Step| {
            let connection = cluster::connect(self.environment, self.purpose, step).await?;
            Ok(Done::new(connection.outcome, connection.description.clone(), connection))
        };
        self.cluster.get_or_try_init(|| self.printer.step("cluster").run(connect)).await
    }

    /// Takes the locks that a bucket keeps. They are there before the cluster is, and after it: two commands that make
    /// or remove it at once would be in each other's way.
    pub(super) async fn early(&self) -> Result<()> {
        match &self.environment.state {
            // An emulator that does not run keeps nothing.
            State::S3(bucket) if cluster::rehearsal::is_missing(&bucket.aws).await => Ok(()),
            State::S3(bucket) => self.take(Keeper::Bucket(bucket)).await,
            State::Cluster => Ok(()),
        }
    }

    /// The cluster, with the locks of all services; the first to ask takes them.
    pub(super) async fn locked(&self) -> Result<&Connection> {
        self.early().await?;
        let cluster = self.cluster().await?;
        if matches!(self.environment.state, State::Cluster) {
            self.take(Keeper::Cluster(&cluster.client)).await?;
        }
        Ok(cluster)
    }

    async fn take(&self, keeper: Keeper<'_>) -> Result<()> {
        self.asked.store(true, Ordering::Relaxed);
        let take = async |step: &Step| {
            for unit in &self.units {
                let lock = Lock::take(keeper, *unit, &self.holder, self.wait, step).await?;
                self.locks().insert(ownership::id(*unit), Arc::new(lock));
            }
            let names: Vec<String> = self.units.iter().map(|unit| ownership::id(*unit)).collect();
            Ok(Done::new(Outcome::Ok, names.join(", "), ()))
        };
        self.locked.get_or_try_init(|| self.printer.step("lock").run(take)).await.copied()
    }

    /// The records of a service. What killed commands have left in them is put right first.
    pub(super) async fn releases(&self, unit: Unit<'_>) -> Result<(Ledger, Vec<release::Entry>)> {
        let ledger = Ledger::open(&self.locked().await?.client, unit).await?;
        let mut entries = ledger.list().await?;
        for number in ledger.recover(&mut entries).await? {
            let header = entries.iter().find(|entry| entry.header.number == number).map(|entry| &entry.header);
            let whose = header.map(|header| format!(" ({}, {})", header.command, header.who)).unwrap_or_default();
            self.printer.warning(format!("release {number}{whose} was killed: it is marked as abandoned"));
        }
        Ok((ledger, entries))
    }

    /// Asks whether the service's lock is still held; to be done before anything of it is changed.
    pub(super) async fn check(&self, unit: Unit<'_>) -> Result<()> {
        match self.lock(unit) {
            Some(lock) => lock.check().await,
            None => Ok(()),
        }
    }

    /// Does some work until it is done, a signal comes or the service's lock is lost.
    pub(super) async fn guard<T>(&self, unit: Unit<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lock = self.lock(unit);
        let lost = async {
            match &lock {
                Some(lock) => lock.lost().await,
                None => std::future::pending().await,
            }
        };
        let work = async {
            tokio::select! {
                biased;
                error = lost => Err(error),
                result = work => result,
            }
        };
        self.interrupt.guard(work).await
    }

    /// Lets go of the locks.
    pub(super) async fn close(self) {
        let locks = std::mem::take(&mut *self.locks());
        if !self.asked.load(Ordering::Relaxed) {
            return;
        }
        let keeper = match (&self.environment.state, self.cluster.get()) {
            (State::S3(bucket), _) => Keeper::Bucket(bucket),
            (State::Cluster, Some(cluster)) => Keeper::Cluster(&cluster.client),
            (State::Cluster, None) => return,
        };
        let close = async {
            for unit in &self.units {
                let done = match locks.get(&ownership::id(*unit)) {
                    Some(lock) => lock.release().await,
                    // It was being taken as a signal came: that request may have been answered.
                    None => release::unlock(keeper, std::iter::once(*unit), &self.holder.id).await.map(drop).or(Ok(())),
                };
                if let Err(error) = done {
                    self.printer.warning(format!("{error}; it ends by itself"));
                }
            }
        };
        if tokio::time::timeout(CLOSING, close).await.is_err() {
            self.printer.warning("the cluster does not answer; the lock ends by itself");
        }
    }

    fn lock(&self, unit: Unit<'_>) -> Option<Arc<Lock>> {
        self.locks().get(&ownership::id(unit)).cloned()
    }

    fn locks(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Lock>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
