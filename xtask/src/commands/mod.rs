//! One file a verb.

mod apply;
mod attempt;
mod bench;
mod bootstrap;
mod check;
mod cluster;
mod completions;
mod consent;
mod deploy;
mod destroy;
mod dev;
mod diff;
mod doctor;
mod drift;
mod each;
mod forecast;
mod history;
mod infrastructure;
mod interrupt;
mod local;
mod lock;
mod logs;
mod nodegroup;
mod pipeline;
mod plan;
mod preflight;
mod promote;
mod rehearsal;
mod release;
mod render;
mod rollback;
mod session;
mod show;
mod status;
mod test;
mod unlock;
mod workload;

use std::path::PathBuf;

use serde_json::{Value, json};

use self::interrupt::{Ending, Interrupt};
use crate::{
    cli::{Cli, Cluster, ClusterCommand, Command, Local, LocalCommand, Nodegroup, NodegroupCommand},
    config,
    error::{Error, Result},
    ui::Printer,
};

/// Runs the command that was given, until it ends or a signal ends it.
///
/// # Errors
/// The command's own.
pub async fn run(cli: Cli, printer: &Printer) -> Result<()> {
    let interrupt = Interrupt::new();
    let ending = ending(&cli.command);
    // Boxed, or the compiler has to lay out the futures of all commands in one.
    let work = Box::pin(dispatch(cli.command, printer, &interrupt));
    match ending {
        Some(ending) => interrupt::listen(ending, &interrupt, printer, work).await,
        None => work.await,
    }
}

/// What a signal does to a command; nothing to one that listens for itself.
fn ending(command: &Command) -> Option<Ending> {
    match command {
        // The local environment's process ends in its own time, after its pods' states are written down.
        Command::Local(Local { command: LocalCommand::Serve(_) | LocalCommand::Node(_) }) => None,
        Command::Deploy(_)
        | Command::Promote(_)
        | Command::Apply(_)
        | Command::Rollback(_)
        | Command::Destroy(_)
        | Command::Dev(_)
        | Command::Cluster(Cluster {
            command: ClusterCommand::Up(_) | ClusterCommand::Upgrade(_) | ClusterCommand::Down(_),
        })
        | Command::Nodegroup(Nodegroup {
            command: NodegroupCommand::Scale(_) | NodegroupCommand::Upgrade(_) | NodegroupCommand::Delete(_),
        }) => Some(Ending::Tidies),
        Command::BuildImage(_)
        | Command::Push(_)
        | Command::Local(_)
        | Command::Bench(_)
        | Command::Bootstrap(_)
        | Command::Cluster(_)
        | Command::Nodegroup(_) => Some(Ending::Stays),
        _ => Some(Ending::Looks),
    }
}

async fn dispatch(command: Command, printer: &Printer, interrupt: &Interrupt) -> Result<()> {
    match command {
        Command::Deploy(options) => deploy::run(options, printer, interrupt).await,
        Command::Promote(options) => promote::run(options, printer, interrupt).await,
        Command::BuildImage(options) => release::run_build(options, printer).await,
        Command::Push(options) => release::run_push(options, printer).await,
        Command::Render(options) => render::run(&options, printer),
        Command::Plan(options) => plan::run(options, printer).await,
        Command::Apply(options) => apply::run(options, printer, interrupt).await,
        Command::Drift(options) => drift::run(options, printer).await,
        Command::Rollback(options) => rollback::run(options, printer, interrupt).await,
        Command::History(options) => history::run(options, printer).await,
        Command::Show(options) => show::run(options, printer).await,
        Command::Diff(options) => diff::run(options, printer).await,
        Command::Unlock(options) => unlock::run(options, printer).await,
        Command::Destroy(options) => destroy::run(options, printer, interrupt).await,
        Command::Status(options) => status::run(options, printer).await,
        Command::Logs(options) => logs::run(options, printer).await,
        Command::Doctor(options) => doctor::run(options, printer).await,
        Command::Bootstrap(options) => bootstrap::run(options, printer).await,
        Command::Cluster(options) => cluster::run(options, printer, interrupt).await,
        Command::Nodegroup(options) => nodegroup::run(options, printer, interrupt).await,
        Command::Rehearsal(options) => rehearsal::run(&options, printer).await,
        Command::Local(options) => local::run(options, printer).await,
        Command::Dev(options) => dev::run(options, printer, interrupt).await,
        Command::Check => check::run(printer).await,
        Command::Test(options) => test::run(options, printer).await,
        Command::Bench(options) => bench::run(options, printer).await,
        Command::Schema => completions::schema(printer),
        Command::Completions(options) => completions::run(&options, printer),
    }
}

/// The repository that the current directory lies in.
fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(|error| Error::failed("find the current directory").source(&error))?;
    config::find_root(&here)
}

/// An error in a report for programs.
fn describe(error: &Error) -> Value {
    json!({
        "message": error.message,
        "causes": error.causes,
        "hint": error.hint,
        "exit": error.exit_code(),
        "diagnosis": error.diagnosis,
    })
}
