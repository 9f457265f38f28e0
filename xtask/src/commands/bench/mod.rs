//! `bench`: the figures of the README, measured here and now in a clone of its own.
//!
//! Times depend on the machine, so each is given in seconds and as a multiple of what `cargo xtask --version` takes. The
//! first deploy compiles everything, this program too, from sources that cargo has downloaded; what is measured is
//! the last commit, without changes that are in none.

mod figures;

use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::Command;

use self::figures::Figures;
use crate::{
    cli::{Bench, Output},
    config::variables,
    error::{Error, Result},
    ui::{Done, Outcome, Printer},
};

/// Short measurements are repeated and the median taken.
const REPEATS: usize = 5;
/// How long an idle cluster is watched.
const IDLE: Duration = Duration::from_secs(10);
/// How long what the last deploy set in motion is given to come to rest.
const SETTLE: Duration = Duration::from_secs(3);
/// Where the service's port is written, and how.
const OVERLAY: &str = "manifests/overlays/local/kustomization.yaml";
const PUBLISHED: &str = "value: 8080";
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
        Output::Text => figures.table().into_iter().for_each(|line| printer.data(line)),
    }
    Ok(())
}

async fn measure(clone: &Ground, printer: &Printer) -> Result<Figures> {
    let deploy = ["deploy", "--quiet", "--output", "json"];
    let step = printer.step("cold");
    let (cold, report) = step.run(async |_| ran("deploy, nothing compiled", clone.timed(&deploy).await)).await?;
    let first = parse(&report)?;

    let step = printer.step("again");
    let (unit, _) = step.run(async |_| ran("--version", clone.median(&["--version"]).await)).await?;
    let step = printer.step("no-op");
    let (unchanged, report) = step.run(async |_| ran("deploy", clone.median(&deploy).await)).await?;
    same_image(&first, &parse(&report)?, true)?;
    let step = printer.step("idle");
    let idle = step.run(async |_| ran(format!("{} s", IDLE.as_secs()), clone.idle().await)).await?;

    clone.change()?;
    let step = printer.step("warm");
    let (warm, report) = step.run(async |_| ran("deploy, one file changed", clone.timed(&deploy).await)).await?;
    same_image(&first, &parse(&report)?, false)?;

    let step = printer.step("start");
    let start = step.run(async |_| ran("local down, local up", clone.starts().await)).await?;

    let mut figures = Figures { unit, list: Vec::new() };
    figures.time("`cargo xtask --version`, the unit of the last column", unit);
    figures.time("deploy in a fresh clone, compiling everything", cold);
    figures.time(
        "of which the deploy itself, compiling the service",
        Duration::from_secs_f64(first["seconds"].as_f64().unwrap_or(0.0)),
    );
    figures.time("deploy after a change of the service", warm);
    figures.time("deploy when nothing has changed", unchanged);
    // Both begin with what cargo and the command line cost.
    figures.time("local Kubernetes, from nothing to ready", start.saturating_sub(unit));
    figures.amount("image", first["image"]["bytes"].as_f64().unwrap_or(0.0) / 1e6, "MB");
    figures.amount("local Kubernetes with the service, resident memory", idle.resident / 1e6, "MB");
    figures.amount("of which anonymous", idle.anonymous / 1e6, "MB");
    figures.amount("local Kubernetes with the service, idle, of one core", idle.load * 100.0, "%");
    Ok(figures)
}

fn ran<T>(what: impl Into<String>, result: Result<T>) -> Result<Done<T>> {
    result.map(|value| Done::new(Outcome::Ok, what, value))
}

fn parse(report: &str) -> Result<Value> {
    serde_json::from_str(report).map_err(|error| Error::failed("read the report of the command").source(&error))
}

/// A measurement of the wrong thing is worse than none.
fn same_image(first: &Value, second: &Value, expected: bool) -> Result<()> {
    let image = |report: &Value| report["image"]["reference"].clone();
    if (image(first) == image(second)) == expected {
        return Ok(());
    }
    let cause = format!("{} was deployed after {}", image(second), image(first));
    Err(Error::failed("the deploy did not do what is measured").cause(cause))
}

/// What an idle local environment takes.
struct Idle {
    /// Bytes.
    resident: f64,
    /// Bytes that no file backs.
    anonymous: f64,
    /// The share of one core.
    load: f64,
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
        output(&mut command, "clone the repository").await?;
        self.publish()
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

    /// Starts the local environment from nothing, several times.
    async fn starts(&self) -> Result<Duration> {
        let mut starts = Vec::new();
        for _ in 0..REPEATS {
            self.xtask(&["local", "down", "--quiet"]).await?;
            starts.push(self.timed(&["local", "up", "--quiet"]).await?.0);
        }
        starts.sort();
        Ok(starts[REPEATS / 2])
    }

    /// What the local environment's process takes with nothing to do.
    async fn idle(&self) -> Result<Idle> {
        let status = parse(&self.xtask(&["local", "status", "--output", "json"]).await?)?;
        let process = format!("/proc/{}", status["pid"]);
        let read = |name: &str| {
            let path = format!("{process}/{name}");
            fs::read_to_string(&path).map_err(|error| Error::failed(format!("read {path}")).source(&error))
        };
        tokio::time::sleep(SETTLE).await;
        let before = ticks(&read("stat")?);
        tokio::time::sleep(IDLE).await;
        let load = (ticks(&read("stat")?) - before) / TICKS_A_SECOND / IDLE.as_secs_f64();
        let status = read("status")?;
        Ok(Idle { resident: bytes(&status, "VmRSS:"), anonymous: bytes(&status, "RssAnon:"), load })
    }

    /// Changes one source file of the service in a way that the compiler can't leave out.
    fn change(&self) -> Result<()> {
        const CHANGE: &str = "\n#[used]\nstatic CHANGED: &str = \"changed to be built again\";\n";
        let path = self.directory.join("app/src/main.rs");
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(CHANGE.as_bytes()))
            .map_err(|error| Error::failed(format!("change {}", path.display())).source(&error))
    }

    /// Publishes the service at a port that nobody uses: an environment that runs on this machine has the usual one.
    fn publish(&self) -> Result<()> {
        let path = self.directory.join(OVERLAY);
        let failed = |error: &dyn std::error::Error| Error::failed(format!("change {}", path.display())).source(error);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| failed(&error))?.port();
        let overlay = fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let moved = overlay.replace(PUBLISHED, &format!("value: {port}"));
        if moved == overlay {
            return Err(Error::failed(format!("find `{PUBLISHED}` in {OVERLAY}, the port of the service")));
        }
        fs::write(&path, moved).map_err(|error| failed(&error))
    }
}

/// A line of /proc/PID/status, proc(5), in bytes.
fn bytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
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
