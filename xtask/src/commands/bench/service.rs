//! `bench service`: the service under load, with its log, metrics and limits on, beside a bare axum handler that does the
//! same to a text, and beside Flask and gunicorn, in one run.
//!
//! wrk and the three take turns on the same cores; of several rounds the best counts, because what else the machine does
//! only ever takes away.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

use super::{figures::Figures, ground, output};
use crate::{
    config::variables,
    error::{Error, Result},
    programs::venv,
    ui::{Done, Outcome, Printer},
};

/// What wrk sends, and the service in Flask.
const FILES: &str = "xtask/benches/service";
/// Where Flask is.
const VENV: &str = "target/flask-venv";
const REQUIREMENTS: &str = include_str!("../../../benches/service/requirements.txt");
/// One client asks for everything, and comes nowhere near it.
const RATE_LIMIT: (&str, &str) = ("RATE_LIMIT", "1000000/s");
/// Rounds of load, and how long each is.
const ROUNDS: usize = 5;
const SECONDS: &str = "3s";
const CONNECTIONS: &str = "32";
/// How long a server may take to answer first.
const START: Duration = Duration::from_secs(10);
/// How often the first answer is waited for.
const STARTS: usize = 21;

/// Builds, loads, and looks.
pub(super) async fn figures(root: &Path, printer: &Printer) -> Result<Figures> {
    let step = printer.step("build");
    step.run(async |_| {
        let mut cargo = Command::new(variables::cargo());
        cargo.args(["build", "--quiet", "--release", "--package", "app"]).current_dir(root);
        cargo.args(["--bin", "app", "--example", "bare", "--example", "speed"]);
        output(&mut cargo, "build the service").await?;
        Ok(Done::new(Outcome::Ok, "the service and what it is measured against", ()))
    })
    .await?;
    let venv = printer.step("flask").run(async |step| venv::create(root, VENV, REQUIREMENTS, step).await).await?;
    let release = root.join("target/release");
    let step = printer.step("text");
    let speed = step.run(async |_| {
        let speed = output(&mut Command::new(release.join("examples/speed")), "measure texts").await?;
        let speed: Value = serde_json::from_str(&speed).map_err(|error| Error::failed("read speeds").source(&error))?;
        Ok(Done::new(Outcome::Ok, "measured", speed))
    });
    let speed = speed.await?;
    let step = printer.step("start");
    let starts = step.run(async |_| {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(Server::app(&release).await?.first);
        }
        starts.sort();
        Ok(Done::new(Outcome::Ok, "measured", starts))
    });
    let starts = starts.await?;
    let step = printer.step("load");
    let load = step.run(async |step| {
        let (bare, app) = (Server::bare(&release).await?, Server::app(&release).await?);
        let flask = Server::flask(root, &venv).await?;
        let mut best = [Load::default(), Load::default(), Load::default()];
        for round in 1..=ROUNDS {
            step.update(format!("round {round} of {ROUNDS}"));
            for (best, server) in best.iter_mut().zip([&bare, &app, &flask]) {
                best.better(server.load(root).await?);
            }
        }
        let memory = app.memory()?;
        flask.end().await?;
        Ok(Done::new(Outcome::Ok, "measured", (best, memory)))
    });
    let ([bare, app, flask], memory) = load.await?;

    let speed = |name: &str| speed[name].as_f64().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut figures = Figures { unit: Duration::from_secs(1), list: Vec::new() };
    figures.amount("POST /v1, a bare axum handler", bare.requests, "/s");
    figures.amount("POST /v1, the service", app.requests, "/s");
    figures.amount("of the bare handler's", 100.0 * app.requests / bare.requests, "%");
    figures.amount("POST /v1, Flask and gunicorn with two workers", flask.requests, "/s");
    figures.amount("in times of Flask's", app.requests / flask.requests, "x");
    figures.amount("99 of 100 within, the bare handler", millis(bare.slowest), "ms");
    figures.amount("99 of 100 within, the service", millis(app.slowest), "ms");
    figures.amount("in times of the bare handler's", app.slowest.as_secs_f64() / bare.slowest.as_secs_f64(), "x");
    figures.amount("resident memory after the load", memory, "MB");
    figures.amount("from exec to the first answer, median", millis(starts[STARTS / 2]), "ms");
    let ascii = speed("ascii_microseconds") / speed("copy_and_uppercase_microseconds");
    figures.amount("1 MiB of ASCII, in times of copying and upper-casing it", ascii, "x");
    figures.amount("mixed Unicode", speed("mixed_megabytes_per_second"), "MB/s");
    Ok(figures)
}

/// What wrk says of one round.
struct Load {
    requests: f64,
    /// What 99 of 100 requests are faster than.
    slowest: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests: 0.0, slowest: Duration::MAX }
    }
}

impl Load {
    fn better(&mut self, other: Self) {
        self.requests = self.requests.max(other.requests);
        self.slowest = self.slowest.min(other.slowest);
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return None;
        }
        let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
        let slowest = after("99%")?;
        let unit = slowest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = slowest.strip_suffix(unit)?.parse().ok()?;
        let second = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            _ => return None,
        };
        let slowest = Duration::from_secs_f64(number * second);
        Some(Self { requests: after("Requests/sec:")?.parse().ok()?, slowest })
    }
}

/// A server on loopback, which ends with this.
struct Server {
    process: Child,
    address: SocketAddr,
    /// From exec to its first answer.
    first: Duration,
}

impl Server {
    async fn app(release: &Path) -> Result<Self> {
        let address = ground::free_address()?;
        let mut command = Command::new(release.join("app"));
        command.env_clear().env("ADDRESS", "127.0.0.1").env("PORT", address.port().to_string());
        command.env("METRICS_PORT", "0").envs([RATE_LIMIT, ("RATE_BURST", "1000000")]);
        Self::start(command, address).await
    }

    async fn bare(release: &Path) -> Result<Self> {
        let address = ground::free_address()?;
        let mut command = Command::new(release.join("examples/bare"));
        command.arg(address.port().to_string());
        Self::start(command, address).await
    }

    async fn flask(root: &Path, venv: &Path) -> Result<Self> {
        let address = ground::free_address()?;
        let mut command = Command::new(venv.join("bin/gunicorn"));
        command.args(["--workers", "2", "--log-level", "warning", "--bind", &address.to_string(), "flask_app:app"]);
        command.current_dir(root.join(FILES)).env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start(command, address).await
    }

    async fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |error: &dyn std::error::Error| Error::failed(format!("start {program}")).source(error);
        command.stdout(Stdio::null()).kill_on_drop(true);
        let began = Instant::now();
        let process = command.spawn().map_err(|error| failed(&error))?;
        let mut stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(error) if began.elapsed() > START => return Err(failed(&error)),
                Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
            }
        };
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: app\r\n\r\n").await.map_err(|error| failed(&error))?;
        stream.read_u8().await.map_err(|error| failed(&error))?;
        Ok(Self { process, address, first: began.elapsed() })
    }

    async fn load(&self, root: &Path) -> Result<Load> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", CONNECTIONS, "--duration", SECONDS, "--latency", "--script"]);
        wrk.arg(root.join(FILES).join("post.lua")).arg(format!("http://{}/v1", self.address));
        let doing = "load the service with wrk";
        let said =
            output(&mut wrk, doing).await.map_err(|error| error.hint("wrk is needed: sudo apt-get install wrk"))?;
        Load::parse(&said).ok_or_else(|| Error::failed(doing).cause(said.trim_end()))
    }

    /// Asks it to end, for one that has processes of its own to end.
    async fn end(mut self) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::failed("end gunicorn").source(error);
        if let Some(pid) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).map_err(|error| failed(&error))?;
        }
        self.process.wait().await.map(drop).map_err(|error| failed(&error))
    }

    /// Resident memory in MB.
    fn memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.process.id().unwrap_or_default());
        let failed = || Error::failed(format!("find the resident memory in {path}"));
        let status = fs::read_to_string(&path).map_err(|error| failed().source(&error))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(failed)?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| failed())?;
        Ok(kib * 1024.0 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "Running 3s test @ http://127.0.0.1:1/v1\n  Latency Distribution\n     50%  410.00us\n     99%    1.25ms\n\
            \x20 219000 requests in 3.00s, 30.00MB read\nRequests/sec:  73000.12\nTransfer/sec:     10.00MB\n";
        let load = Load::parse(said).unwrap();
        assert_eq!((load.requests, load.slowest), (73000.12, Duration::from_micros(1250)));
        assert!(Load::parse(&format!("{said}  Non-2xx or 3xx responses: 5\n")).is_none());
        assert!(Load::parse("").is_none());
    }
}
