//! Ctrl-C and SIGTERM: a command that has something to put in order is told, and ends when it has done so.

use std::pin::pin;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    error::{Error, Kind, Result},
    ui::Printer,
};

/// Whether a signal has asked the command to end.
#[derive(Debug)]
pub(super) struct Interrupt(watch::Sender<Option<&'static str>>);

impl Interrupt {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Does some work until it is done or a signal comes; what is still to be done then is dropped.
    pub(super) async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut asked = self.0.subscribe();
        tokio::select! {
            biased;
            Ok(how) = asked.wait_for(Option::is_some) => Err(interrupted(how.unwrap_or("interrupted"))),
            result = work => result,
        }
    }
}

/// The signals that end a command.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed("listen for signals").source(&error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "terminated",
        }
    }
}

/// What a signal does to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It only looks: it is dropped.
    Looks,
    /// It is dropped, and what it has done stays.
    Stays,
    /// It is told by [`Interrupt`] and puts things in order; a second signal drops it.
    Tidies,
}

/// Runs a command until it ends or is ended. Dropping what runs ends its children.
///
/// # Errors
/// The command's own, or that it was interrupted.
pub(super) async fn listen(
    ending: Ending,
    interrupt: &Interrupt,
    printer: &Printer,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mut signals = Signals::listen()?;
    let mut work = pin!(work);
    let how = tokio::select! {
        result = &mut work => return result,
        how = signals.next() => how,
    };
    if ending == Ending::Tidies {
        interrupt.0.send_replace(Some(how));
        printer.words(format!("{how}: putting things in order; once more to end at once"));
        tokio::select! {
            result = &mut work => return result,
            _ = signals.next() => {}
        }
    }
    Err(match ending {
        Ending::Looks => Error::new(Kind::Interrupted, how),
        Ending::Stays | Ending::Tidies => interrupted(how),
    })
}

fn interrupted(how: &str) -> Error {
    Error::new(Kind::Interrupted, how).hint("what was done stays; run the same command again and it goes on from there")
}
