//! `test`: sets up what the tests need and runs them.

mod debian;
mod venv;

use tokio::process::Command;

use crate::{
    cli::Test,
    config::variables,
    error::{Error, Result},
    ui::Printer,
};

/// Sets up, then runs `cargo test` on the whole workspace with the arguments handed on.
pub(super) async fn run(options: Test, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    printer.step("programs").run(async |step| debian::install(step).await).await?;
    printer.step("venv").run(async |step| venv::create(&root, step).await).await?;
    let mut command = Command::new(variables::cargo());
    command.args(["test", "--workspace", "--locked"]).args(&options.arguments).current_dir(&root).kill_on_drop(true);
    let status = command.status().await.map_err(|error| Error::failed("run cargo test").source(&error))?;
    if status.success() { Ok(()) } else { Err(Error::failed("tests failed")) }
}

/// Runs a program that sets something up; what it says is shown only when it fails.
async fn run_quietly(command: &mut Command, doing: &str) -> Result<()> {
    let output = command
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| Error::failed(doing).source(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Err(Error::failed(doing).cause(format!("{}\n{}", text(&output.stdout), text(&output.stderr)).trim()))
}
