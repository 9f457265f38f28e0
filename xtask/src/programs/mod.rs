//! Programs of others that are set up here: a Python environment with pinned versions.

pub(crate) mod venv;

use tokio::process::Command;

use crate::error::{Error, Result};

/// Runs a program that sets something up; what it says is shown only when it fails.
pub(crate) async fn run_quietly(command: &mut Command, doing: &str) -> Result<()> {
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
