//! The compiler on this machine.

use std::path::Path;

use tokio::process::Command;

use crate::error::{Error, Result};

/// What `rustc -vV` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// All of it: version, commit, host.
    pub(super) description: String,
}

/// Asks the compiler that cargo uses in this directory.
///
/// # Errors
/// When there is none.
pub(super) async fn inspect(root: &Path) -> Result<Toolchain> {
    let failed = || Error::failed("run rustc").hint("install Rust: https://rustup.rs");
    let mut command = Command::new("rustc");
    command.arg("-vV").current_dir(root).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed().source(&error))?;
    if !output.status.success() {
        return Err(failed().cause(String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(Toolchain { description: String::from_utf8_lossy(&output.stdout).into_owned() })
}

impl Toolchain {
    fn host(&self) -> &str {
        self.description.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default()
    }

    /// The target of a binary that runs in a container of this machine.
    ///
    /// # Errors
    /// When this is not Linux on x86-64 or arm64.
    pub(super) fn linux_host(&self) -> Result<&str> {
        let host = self.host();
        if host.contains("-linux-") && !self.architecture().is_empty() {
            return Ok(host);
        }
        Err(Error::usage(format!("builder `host` can't make a binary for Linux containers on {host}"))
            .hint("set image.builder to dockerfile"))
    }

    /// In the words of the OCI; empty for one that images are not made for.
    pub(super) fn architecture(&self) -> &'static str {
        match self.host().split('-').next() {
            Some("x86_64") => "amd64",
            Some("aarch64") => "arm64",
            _ => "",
        }
    }
}
