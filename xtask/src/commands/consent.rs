//! Somebody agrees before anything is changed, where infra-config asks for it.

use std::io::{self, IsTerminal as _};

use super::session::Session;
use crate::{
    config::Unit,
    error::{Error, Result},
    plan::Plan,
};

/// Asks on a terminal, about one service at a time; elsewhere only `--yes` agrees. The plan was shown above, by its stage.
///
/// # Errors
/// Nobody can be asked, the answer is no, or it is interrupted.
pub(super) async fn ask(session: &Session<'_>, unit: Unit<'_>, plan: &Plan, yes: bool) -> Result<()> {
    if !unit.environment.release.consent || yes || plan.is_empty() {
        return Ok(());
    }
    let name = &unit.environment.name;
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::usage(format!("{name} is changed only with consent, and there is nobody to ask"))
            .cause(plan.summary())
            .hint("look at the plan, then agree with --yes"));
    }
    let _alone = session.asking.lock().await;
    let service = &unit.service.name;
    session.printer.warning(format!("{service} in {name}: {}. Type {name} to apply it:", plan.summary()));
    // A read cannot be taken back, so it gets a thread of its own, which Ctrl-C leaves behind.
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = read.await.map_err(|error| Error::failed("wait for an answer").source(&error))?;
    let answer = answer.map_err(|error| Error::failed("read the answer").source(&error))?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(Error::failed(format!("nobody agreed to change {} in {name}; nothing of it was changed", unit.service.name)))
}
