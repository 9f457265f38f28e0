//! One writer at a time for a service in an environment: a Lease, <https://kubernetes.io/docs/concepts/architecture/leases/>,
//! in the cluster or in a bucket.
//!
//! Who finds it held is refused at once, or waits. It is taken over only from a holder that is known to be dead, or
//! that has not renewed it for its whole duration *while we watched*: clocks of other machines decide nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::ResourceExt as _;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::{Holder, name};
use crate::{
    config::Unit,
    error::{Error, Result},
    ui::Step,
};

mod lease;
mod seen;
mod store;
mod view;

use lease::lease;
use seen::Seen;
pub use store::Keeper;
use store::Store;
pub(super) use store::key;
use view::{Theirs, held};

/// How long a lock stands without being renewed.
const DURATION: Duration = Duration::from_secs(30);
/// Two may fail before it ends.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often one that is waited for is looked at.
const POLL: Duration = Duration::from_millis(250);

/// Whether a lock that another one holds is waited for, and how long.
pub type Wait = Option<Duration>;

/// Held until it is released or lost.
#[derive(Debug)]
pub struct Lock {
    held: Arc<Held>,
    heartbeat: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    store: Store,
    name: String,
    holder: Holder,
    /// As it was last written.
    lease: Mutex<Lease>,
    /// Why it is not ours any more.
    lost: watch::Sender<Option<String>>,
}

impl Lock {
    /// Takes the lock of a service in an environment.
    ///
    /// # Errors
    /// Another one holds it, and has not let go of it in the time to wait; or the cluster refuses.
    pub async fn take(keeper: Keeper<'_>, unit: Unit<'_>, holder: &Holder, wait: Wait, step: &Step) -> Result<Self> {
        let store = Store::open(keeper, unit).await?;
        let name = name(unit);
        let deadline = Instant::now() + wait.unwrap_or_default();
        let mut seen: Option<Seen> = None;
        loop {
            if let Some(lease) = store.create(&lease(&name, unit, holder, 0)).await? {
                return Ok(Self::hold(store, holder, lease));
            }
            let Some(live) = store.get(&name).await? else { continue };
            let theirs = Theirs::of(&live);
            let seen = Seen::update(&mut seen, &theirs);
            if let Some(why) = seen.over(&theirs, holder) {
                let mut next = lease(&name, unit, holder, theirs.transitions + 1);
                next.metadata.resource_version = live.resource_version();
                match store.replace(&next).await? {
                    Some(lease) => {
                        why.into_iter().for_each(|why| step.line(why));
                        return Ok(Self::hold(store, holder, lease));
                    }
                    // Somebody else was faster, or its holder lives.
                    None => continue,
                }
            }
            let suspect = theirs.looks_expired() && !seen.alive;
            if !suspect && Instant::now() >= deadline {
                return Err(held(unit, &theirs));
            }
            step.progress(match suspect {
                true => format!("{} looks gone: watching its lock for {} s", theirs.named(), theirs.duration.as_secs()),
                false => format!("waiting for {}", theirs.named()),
            });
            tokio::time::sleep(POLL).await;
        }
    }

    fn hold(store: Store, holder: &Holder, lease: Lease) -> Self {
        let name = lease.name_any();
        let held =
            Held { store, name, holder: holder.clone(), lease: Mutex::new(lease), lost: watch::Sender::new(None) };
        let held = Arc::new(held);
        Self { heartbeat: tokio::spawn(beat(Arc::clone(&held))), held }
    }

    /// Asks the cluster whether it is still ours; to be done before anything is changed.
    ///
    /// # Errors
    /// It is not, or the cluster does not answer.
    pub async fn check(&self) -> Result<()> {
        let found = self.held.store.get(&self.held.name).await?;
        self.held.judge(found.as_ref()).map_err(|why| self.held.lose(why))?;
        // It may have come back to us by a heartbeat that was late; who was told so has stopped all the same.
        let lost = self.held.lost.borrow().clone();
        lost.map_or(Ok(()), |why| Err(lost_it(why)))
    }

    /// Waits until it is lost, and says why. Ends only then.
    pub async fn lost(&self) -> Error {
        let mut lost = self.held.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => lost_it(why.clone().unwrap_or_default()),
            Err(_) => lost_it("nobody renews it".to_owned()),
        }
    }

    /// Lets go of it; what another one holds by now is left alone.
    ///
    /// # Errors
    /// The cluster does not answer; the lock then ends by itself.
    pub async fn release(&self) -> Result<()> {
        let held = &self.held;
        self.heartbeat.abort();
        let mut lease = held.last();
        for _ in 0..5 {
            if held.store.delete(&lease).await? {
                return Ok(());
            }
            // A heartbeat that was under way has written it once more, or it is not ours any more.
            match held.store.get(&held.name).await? {
                Some(live) if held.judge(Some(&live)).is_ok() => lease = live,
                _ => return Ok(()),
            }
        }
        Err(Error::failed("release the lock").cause("somebody else keeps writing it"))
    }
}

impl Held {
    fn last(&self) -> Lease {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why this is not our lock, if it is not.
    fn judge(&self, live: Option<&Lease>) -> Result<(), String> {
        let Some(live) = live else { return Err("somebody has unlocked it".to_owned()) };
        let theirs = Theirs::of(live);
        if theirs.id == self.holder.id {
            return Ok(());
        }
        Err(format!("{} has taken it over", theirs.named()))
    }

    fn lose(&self, why: String) -> Error {
        self.lost.send_replace(Some(why.clone()));
        lost_it(why)
    }

    async fn renew(&self) -> Result<(), Renewal> {
        let mut lease = self.store.get(&self.name).await.map_err(|_| Renewal::Failed)?;
        self.judge(lease.as_ref()).map_err(Renewal::Lost)?;
        if let Some(spec) = lease.as_mut().and_then(|lease| lease.spec.as_mut()) {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let renewed = self.store.replace(&lease.unwrap_or_default()).await;
        // A conflict shows the next time whether it is still ours.
        let renewed = renewed.map_err(|_| Renewal::Failed)?.ok_or(Renewal::Failed)?;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}

/// Why a lock was not renewed.
enum Renewal {
    /// It is another one's, or nobody's.
    Lost(String),
    /// The cluster does not answer, or somebody else wrote at the same time.
    Failed,
}

async fn beat(held: Arc<Held>) {
    let mut renewed = Instant::now();
    let mut pause = HEARTBEAT;
    loop {
        tokio::time::sleep(pause).await;
        match tokio::time::timeout(HEARTBEAT, held.renew()).await {
            Ok(Ok(())) => (renewed, pause) = (Instant::now(), HEARTBEAT),
            Ok(Err(Renewal::Lost(why))) => return drop(held.lose(why)),
            // Others may take it from now on.
            _ if renewed.elapsed() >= DURATION => {
                return drop(held.lose(format!("it could not be renewed for {} s", DURATION.as_secs())));
            }
            _ => pause = Duration::from_secs(1),
        }
    }
}

/// Removes the lock that a holder of this id has.
///
/// # Errors
/// There is no such lock; then it is said whose there are.
pub async fn unlock(keeper: Keeper<'_>, units: impl Iterator<Item = Unit<'_>>, id: &str) -> Result<String> {
    let mut others = Vec::new();
    for unit in units {
        let store = Store::open(keeper, unit).await?;
        let name = name(unit);
        for _ in 0..5 {
            let Some(live) = store.get(&name).await? else { break };
            let theirs = Theirs::of(&live);
            if id.len() < view::SHORT || !theirs.id.starts_with(id) {
                others.push(format!("{} has the lock {}", theirs.named(), theirs.short()));
                break;
            }
            // A heartbeat may have written it once more.
            if store.delete(&live).await? {
                return Ok(theirs.named());
            }
        }
    }
    let error = Error::failed(format!("there is no lock {id}"));
    Err(match others.is_empty() {
        true => error.cause("nothing is locked"),
        false => others.into_iter().fold(error, Error::cause),
    })
}

fn lost_it(why: String) -> Error {
    Error::failed("the lock was lost, so nothing more was changed")
        .cause(why)
        .hint("see what is there: cargo xtask history")
}
