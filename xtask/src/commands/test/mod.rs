//! `test`: sets up what the tests need and runs them.

mod debian;

use tokio::process::Command;

use crate::{
    cli::Test,
    cluster::rehearsal,
    config::variables,
    error::{Error, Result},
    programs::venv,
    ui::Printer,
};

/// The Python environments of the tests, each with its pinned programs: what the tests compare with, and what judges files
/// that run elsewhere.
const VENVS: [(&str, &str, &str); 3] = [
    ("venv", "target/venv", include_str!("../../../tests/requirements.txt")),
    ("gates", "target/gates", include_str!("../../../tests/gates/requirements.txt")),
    ("checkov", "target/checkov", include_str!("../../../tests/gates/checkov.txt")),
];

/// Sets up, then runs `cargo test` on the whole workspace with the arguments handed on.
pub(super) async fn run(options: Test, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    printer.step("programs").run(async |step| debian::install(step).await).await?;
    for (name, directory, wanted) in VENVS {
        printer.step(name).run(async |step| venv::create(&root, directory, wanted, step).await).await?;
    }
    printer.step("rehearsal").run(async |step| rehearsal::programs(&root, step).await).await?;
    let mut command = Command::new(variables::cargo());
    command.args(["test", "--workspace", "--locked"]).args(&options.arguments).current_dir(&root).kill_on_drop(true);
    let status = command.status().await.map_err(|error| Error::failed("run cargo test").source(&error))?;
    if status.success() { Ok(()) } else { Err(Error::failed("tests failed")) }
}
