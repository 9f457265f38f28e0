//! The compiler on this machine.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    config::variables,
    error::{Error, Result},
};

/// What `rustc -vV` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// All of it: version, commit, host.
    pub(super) description: String,
}

/// What a compiler once said, and which file it was then: starting it only to hear the same costs more than the rest of
/// looking for changes.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    program: PathBuf,
    length: u64,
    modified: SystemTime,
    description: String,
}

/// Asks the compiler that cargo uses in this directory.
///
/// # Errors
/// When there is none.
pub(super) async fn inspect(root: &Path) -> Result<Toolchain> {
    let failed = || Error::failed("run rustc").hint("install Rust: https://rustup.rs");
    // Beside the cargo that builds: on the PATH there is often a proxy, which may stand for another one tomorrow.
    let beside = Path::new(&variables::cargo()).with_file_name("rustc");
    let file = fs::metadata(&beside).ok().filter(|file| beside.is_absolute() && file.is_file());
    let memory = root.join(".slipway/rustc.json");
    let known = fs::read(&memory).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let (Some(file), Some(known)) = (&file, known)
        && known.program == beside
        && known.length == file.len()
        && file.modified().is_ok_and(|modified| modified == known.modified)
    {
        return Ok(Toolchain { description: known.description });
    }
    let mut command = Command::new(if file.is_some() { beside.as_os_str() } else { OsStr::new("rustc") });
    command.arg("-vV").current_dir(root).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed().source(&error))?;
    if !output.status.success() {
        return Err(failed().cause(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let description = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some((length, modified)) = file.and_then(|file| Some((file.len(), file.modified().ok()?))) {
        let seen = Remembered { program: beside, length, modified, description: description.clone() };
        // Where it can't be kept it is asked again.
        let _ = serde_json::to_vec(&seen).map(|bytes| fs::write(&memory, bytes));
    }
    Ok(Toolchain { description })
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
