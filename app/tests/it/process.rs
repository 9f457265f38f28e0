//! A service of its own for each test.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::Client;

pub(crate) struct App {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    /// Where its metrics are, with `METRICS_PORT`.
    pub(crate) metrics: Option<SocketAddr>,
    log: Option<thread::JoinHandle<Vec<Value>>>,
}

impl App {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_app"))
            .env_clear()
            .envs([("ADDRESS", "127.0.0.1"), ("PORT", "0"), ("APP_VERSION", "test-1"), ("LOG_LEVEL", "debug")])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut before: Vec<Value> = Vec::new();
        let address = loop {
            let line: Value = serde_json::from_str(&lines.next().expect("it ended").unwrap()).unwrap();
            before.push(line);
            let line = &before[before.len() - 1];
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let metrics = settings.iter().any(|(name, _)| *name == "METRICS_PORT").then(|| {
            let second: Value = serde_json::from_str(&lines.next().expect("it ended").unwrap()).unwrap();
            assert_eq!(second["message"], "metrics");
            second["address"].as_str().unwrap().parse().unwrap()
        });
        let log = thread::spawn(move || {
            let after = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
            before.into_iter().chain(after).collect()
        });
        Self { process, address, metrics, log: Some(log) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    pub(crate) fn log(&mut self) -> Vec<Value> {
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a command of the service's program to its end, with something to read; what it said, if it failed.
pub(crate) fn command(arguments: &[&str], settings: &[(&str, &str)], input: &str) -> Result<String, String> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_app"))
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A port of this machine that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks again until it is as it should be.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Does something while two threads do something else over and over.
pub(crate) fn under_load<T>(load: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let again = || {
        while !over.load(Ordering::Relaxed) {
            load();
        }
    };
    thread::scope(|scope| {
        // Also when the work fails.
        let _over = Over(&over);
        scope.spawn(again);
        scope.spawn(again);
        work()
    })
}

/// A directory that goes with the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("app-it-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
