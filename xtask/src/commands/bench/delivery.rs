//! `bench delivery`: what a deploy and the local environment take, in a clone of the repository.
//!
//! The first deploy compiles everything, this program too, from sources that cargo has downloaded; what is measured is
//! the last commit, without changes that are in none. The unit of times is what `cargo xtask --version` takes.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{
    figures::Figures,
    ground::{self, Ground},
};
use crate::{
    error::{Error, Result},
    ui::{Done, Outcome, Printer},
};

/// How long an idle cluster is watched.
const IDLE: Duration = Duration::from_secs(10);
/// How long what the last deploy set in motion is given to come to rest.
const SETTLE: Duration = Duration::from_secs(3);
/// The clock of /proc/PID/stat, on every platform that Linux runs on today.
const TICKS_A_SECOND: f64 = 100.0;

/// Clones, measures, and removes what it made.
pub(super) async fn figures(root: &Path, printer: &Printer) -> Result<Figures> {
    ground::in_a_clone(root, async |clone| measure(clone, printer).await).await
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
    let idle = step.run(async |_| ran(format!("{} s", IDLE.as_secs()), rest(clone).await)).await?;

    change(clone)?;
    let step = printer.step("warm");
    let (warm, report) = step.run(async |_| ran("deploy, one file changed", clone.timed(&deploy).await)).await?;
    same_image(&first, &parse(&report)?, false)?;

    let step = printer.step("start");
    let start = step.run(async |_| ran("local down, local up", starts(clone).await)).await?;

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

/// What the local environment's process takes with nothing to do.
async fn rest(clone: &Ground) -> Result<Idle> {
    let status = parse(&clone.xtask(&["local", "status", "--output", "json"]).await?)?;
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

/// Starts the local environment from nothing, several times.
async fn starts(clone: &Ground) -> Result<Duration> {
    let mut starts = Vec::new();
    for _ in 0..ground::REPEATS {
        clone.xtask(&["local", "down", "--quiet"]).await?;
        starts.push(clone.timed(&["local", "up", "--quiet"]).await?.0);
    }
    starts.sort();
    Ok(starts[ground::REPEATS / 2])
}

/// Changes one source file of the service in a way that the compiler can't leave out.
fn change(clone: &Ground) -> Result<()> {
    const CHANGE: &str = "\n#[used]\nstatic CHANGED: &str = \"changed to be built again\";\n";
    let path = clone.directory.join("app/src/main.rs");
    File::options()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(CHANGE.as_bytes()))
        .map_err(|error| Error::failed(format!("change {}", path.display())).source(&error))
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
