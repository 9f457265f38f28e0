//! `bench`: the figures of the README, measured here and now in a clone of its own.
//!
//! Times depend on the machine, so each is given in seconds and as a multiple of what `cargo xtask --version` takes.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cli::{Bench, Output},
    config::variables,
    error::{Error, Result},
    ui::{Done, Outcome, Printer, Step},
};

/// Short measurements are repeated and the median taken.
const REPEATS: usize = 5;
/// How long an idle cluster is watched.
const IDLE: Duration = Duration::from_secs(10);
/// The clock of /proc/PID/stat, on every platform that Linux runs on today.
const TICKS_A_SECOND: f64 = 100.0;

/// Clones, measures, and removes what it made.
pub(super) async fn run(options: Bench, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let clone = Ground { directory: root.join("target/bench") };
    clone.make(&root).await?;
    let measured = measure(&clone, printer).await;
    // Also after a failure nothing is left running.
    let removed = clone.xtask(&["local", "down", "--quiet"]).await;
    let figures = measured?;
    removed?;
    fs::remove_dir_all(&clone.directory)
        .map_err(|error| Error::failed(format!("remove {}", clone.directory.display())).source(&error))?;
    match options.report.output {
        Output::Json => printer.json(&figures),
        Output::Text => {
            for (name, value) in figures.as_object().into_iter().flatten() {
                printer.data(format!(
                    "{:<44} {}",
                    name,
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                ));
            }
        }
    }
    Ok(())
}

async fn measure(clone: &Ground, printer: &Printer) -> Result<Value> {
    let stage = async |name: &str, arguments: &[&str]| {
        let work = async |_: &Step| {
            let (took, output) = clone.timed(arguments).await?;
            Ok(Done::new(Outcome::Ok, arguments.join(" "), (took, output)))
        };
        printer.step(name).run(work).await
    };
    let deploy = ["deploy", "--quiet", "--output", "json"];
    let (cold, report) = stage("cold", &deploy).await?;
    let (unit, _) = clone.median(&["--version"]).await?;
    let (idle_deploy, _) = clone.median(&deploy).await?;
    let (memory, load) = clone.idle().await?;
    clone.change()?;
    let (warm, _) = stage("warm", &deploy).await?;
    let mut starts = Vec::new();
    for _ in 0..REPEATS {
        clone.xtask(&["local", "down", "--quiet"]).await?;
        starts.push(clone.timed(&["local", "up", "--quiet"]).await?.0);
    }
    starts.sort();
    let start = starts[REPEATS / 2].saturating_sub(unit);
    let report: Value =
        serde_json::from_str(&report).map_err(|error| Error::failed("read the report of the deploy").source(&error))?;
    let time =
        |took: Duration| format!("{:.2} s ({:.1} x)", took.as_secs_f64(), took.as_secs_f64() / unit.as_secs_f64());
    Ok(json!({
        "image, MB": report["image"]["bytes"].as_u64().map(|bytes| (bytes as f64 / 1e5).round() / 10.0),
        "cargo xtask --version (the unit)": format!("{:.2} s", unit.as_secs_f64()),
        "deploy, clean clone, everything compiled": time(cold),
        "deploy, one source file changed": time(warm),
        "deploy, nothing changed": time(idle_deploy),
        "local environment, start": time(start),
        "local environment, memory at rest, MB": (memory as f64 / 1e5).round() / 10.0,
        "local environment, load at rest, % of a core": (load * 1000.0).round() / 10.0,
    }))
}

/// A clone of the repository, with a target directory and a local environment of its own.
struct Ground {
    directory: PathBuf,
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
        output(&mut command, "clone the repository").await.map(drop)
    }

    /// Runs `cargo xtask` in it and returns its stdout.
    async fn xtask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(variables::cargo());
        command.arg("xtask").args(arguments).current_dir(&self.directory);
        command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
        output(&mut command, &format!("cargo xtask {}", arguments.join(" "))).await
    }

    async fn timed(&self, arguments: &[&str]) -> Result<(Duration, String)> {
        let began = Instant::now();
        let output = self.xtask(arguments).await?;
        Ok((began.elapsed(), output))
    }

    async fn median(&self, arguments: &[&str]) -> Result<(Duration, String)> {
        let mut runs = Vec::new();
        for _ in 0..REPEATS {
            runs.push(self.timed(arguments).await?);
        }
        runs.sort();
        Ok(runs.swap_remove(REPEATS / 2))
    }

    /// The bytes that the local environment's process keeps, and the share of a core that it takes, with nothing to do.
    async fn idle(&self) -> Result<(u64, f64)> {
        let status = self.xtask(&["local", "status", "--output", "json"]).await?;
        let status: Value =
            serde_json::from_str(&status).map_err(|error| Error::failed("read the status").source(&error))?;
        let process = format!("/proc/{}", status["pid"]);
        let read = |name: &str| {
            let path = format!("{process}/{name}");
            fs::read_to_string(&path).map_err(|error| Error::failed(format!("read {path}")).source(&error))
        };
        let before = ticks(&read("stat")?);
        tokio::time::sleep(IDLE).await;
        let load = (ticks(&read("stat")?) - before) / TICKS_A_SECOND / IDLE.as_secs_f64();
        let resident = read("status")?
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default();
        Ok((resident * 1024, load))
    }

    /// Changes one source file of the service.
    fn change(&self) -> Result<()> {
        let path = self.directory.join("app/src/lib.rs");
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "\n// Changed to be built again."))
            .map_err(|error| Error::failed(format!("change {}", path.display())).source(&error))
    }
}

/// User and system time of a process, by proc(5): the 14th and 15th field, counted behind the name in parentheses.
fn ticks(stat: &str) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum()
}

async fn output(command: &mut Command, doing: &str) -> Result<String> {
    let output = command.kill_on_drop(true).output().await.map_err(|error| Error::failed(doing).source(&error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::failed(doing).cause(String::from_utf8_lossy(&output.stderr).trim_end()))
}
