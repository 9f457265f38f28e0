//! Ending without losing a request.
//!
//! ```text
//! SIGTERM   readiness fails, every answer says `connection: close`; everything is still accepted and served
//! + delay   load balancers have noticed: connections at rest are closed, those in use after their answer
//! + timeout what is still open is cut off
//! ```

use std::time::Duration;

use tokio::{signal::unix, sync::watch, time::Instant};

/// How far a server's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// It looks unready and serves on, for as long as load balancers need to notice.
    Lame,
    /// It closes its connections.
    Closing,
}

/// The phase, seen from everywhere in the server.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: watch::Sender<Phase>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }
}

impl Drain {
    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() > Phase::Serving
    }

    /// Moves on to a phase; it never moves back.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// Returns once the phase has been reached.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as `self`.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}

/// Listens to signals from now on. The future walks through the phases from the first SIGTERM or SIGINT on, and is ready
/// when what is left has to be cut off, which a second signal makes now.
///
/// # Errors
/// When the signals can't be listened to.
pub fn on_signals(
    drain: Drain,
    delay: Duration,
    timeout: Duration,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals {
        terminate: unix::signal(unix::SignalKind::terminate())?,
        interrupt: unix::signal(unix::SignalKind::interrupt())?,
    };
    Ok(async move {
        let signal = signals.next().await;
        let began = Instant::now();
        tracing::info!(signal, ?delay, ?timeout, "draining");
        drain.enter(Phase::Lame);
        let walk = async {
            tokio::time::sleep_until(began + delay).await;
            drain.enter(Phase::Closing);
            tokio::time::sleep_until(began + timeout).await;
        };
        tokio::select! {
            () = walk => {}
            signal = signals.next() => tracing::warn!(signal, "ending at once"),
        }
    })
}

struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
