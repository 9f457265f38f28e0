//! A clone of the repository in which deploys are measured.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::output;
use crate::{
    config::variables,
    error::{Error, Result},
};

/// Short measurements are repeated and the median taken.
pub(super) const REPEATS: usize = 5;
/// Where the service's port is written, and how.
const OVERLAY: &str = "manifests/overlays/local/kustomization.yaml";
const PUBLISHED: &str = "value: 8080";

/// Clones, measures, and removes what it made.
pub(super) async fn in_a_clone<T>(root: &Path, measure: impl AsyncFnOnce(&Ground) -> Result<T>) -> Result<T> {
    let clone = Ground { directory: root.join("target/bench") };
    clone.make(root).await?;
    let measured = measure(&clone).await;
    // Also after a failure nothing is left running.
    let removed = clone.xtask(&["local", "down", "--quiet"]).await;
    let measured = measured?;
    removed?;
    fs::remove_dir_all(&clone.directory)
        .map_err(|error| Error::failed(format!("remove {}", clone.directory.display())).source(&error))?;
    Ok(measured)
}

/// The median of what this takes, several times.
pub(super) async fn median(run: impl AsyncFn() -> Result<()>) -> Result<Duration> {
    let mut runs = Vec::new();
    for _ in 0..REPEATS {
        let began = Instant::now();
        run().await?;
        runs.push(began.elapsed());
    }
    runs.sort();
    Ok(runs[REPEATS / 2])
}

/// An address on loopback that nobody uses.
pub(super) fn free_address() -> Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.map_err(|error| Error::failed("find a free port").source(&error))
}

/// A clone of the repository, with a target directory and a local environment of its own.
pub(super) struct Ground {
    pub(super) directory: PathBuf,
}

impl Ground {
    async fn make(&self, root: &Path) -> Result<()> {
        if self.directory.exists() {
            // An earlier run was killed; what it started is recorded in there.
            let _ = self.xtask(&["local", "down", "--quiet"]).await;
            fs::remove_dir_all(&self.directory)
                .map_err(|error| Error::failed(format!("remove {}", self.directory.display())).source(&error))?;
        }
        let mut command = Command::new("git");
        command.args(["clone", "--quiet", "--local"]).arg(root).arg(&self.directory);
        output(&mut command, "clone the repository").await?;
        self.publish()
    }

    /// Runs `cargo xtask` in it and returns its stdout.
    pub(super) async fn xtask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(variables::cargo());
        command.arg("xtask").args(arguments).current_dir(&self.directory);
        command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
        output(&mut command, &format!("cargo xtask {}", arguments.join(" "))).await
    }

    pub(super) async fn timed(&self, arguments: &[&str]) -> Result<(Duration, String)> {
        let began = Instant::now();
        let output = self.xtask(arguments).await?;
        Ok((began.elapsed(), output))
    }

    pub(super) async fn median(&self, arguments: &[&str]) -> Result<(Duration, String)> {
        let mut runs = Vec::new();
        for _ in 0..REPEATS {
            runs.push(self.timed(arguments).await?);
        }
        runs.sort();
        Ok(runs.swap_remove(REPEATS / 2))
    }

    /// Publishes the service at a port that nobody uses: an environment that runs on this machine has the usual one.
    fn publish(&self) -> Result<()> {
        let path = self.directory.join(OVERLAY);
        let failed = |error: &dyn std::error::Error| Error::failed(format!("change {}", path.display())).source(error);
        let port = free_address()?.port();
        let overlay = fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let moved = overlay.replace(PUBLISHED, &format!("value: {port}"));
        if moved == overlay {
            return Err(Error::failed(format!("find `{PUBLISHED}` in {OVERLAY}, the port of the service")));
        }
        fs::write(&path, moved).map_err(|error| failed(&error))
    }
}
