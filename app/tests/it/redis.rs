//! A real Redis that processes share, which dies and comes back during load.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{JSON, post},
    process::App,
    stub::{Mode, Stub},
};

struct Redis {
    process: Child,
    port: u16,
    directory: PathBuf,
}

impl Redis {
    fn start() -> Self {
        // Between the look for a free port and its use somebody else may take it.
        let tries = (0..10).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let directory = std::env::temp_dir().join(format!("app-redis-{}-{port}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            Some(Self { process: Self::spawn(port, &directory)?, port, directory })
        });
        tries.expect("redis-server starts")
    }

    /// Waits until it answers, or ends.
    fn spawn(port: u16, directory: &Path) -> Option<Child> {
        let mut process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--requirepass", "hunter2"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "redis-server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(process)
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn revive(&mut self) {
        wait_for("Redis starts again", || match Self::spawn(self.port, &self.directory) {
            Some(process) => {
                self.process = process;
                true
            }
            None => false,
        });
    }

    fn keys(&self) -> usize {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "--no-auth-warning", "-a", "hunter2", "dbsize"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn start(stub: &Stub, redis: &Redis) -> App {
    let (shout, redis) = (stub.url(), format!("redis://:hunter2@127.0.0.1:{}/0", redis.port));
    App::start(&[
        ("UPCASE", "shoutcloud"),
        ("SHOUTCLOUD_URL", &shout),
        ("SHOUTCLOUD_TIMEOUT", "30s"),
        ("REQUEST_TIMEOUT", "60s"),
        ("REDIS_URL", &redis),
        ("REDIS_TIMEOUT", "5s"),
    ])
}

fn ask(app: &App, text: &str) {
    let answer = app.connect().ask(&post("/v1", JSON, &json!({ "data": text }).to_string())).unwrap();
    let expected: String = text.to_uppercase().chars().rev().collect();
    assert_eq!((answer.status, answer.json()), (200, json!({ "data": expected })), "{answer:?}");
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_one_process_asked_the_other_knows_and_a_loss_is_not_noticed() {
    let (stub, mut redis) = (Stub::start(), Redis::start());
    let (mut first, mut second) = (start(&stub, &redis), start(&stub, &redis));
    ask(&first, "shared");
    wait_for("the answer is kept", || redis.keys() == 1);
    stub.be(Mode::Failing);
    ask(&second, "shared");
    stub.be(Mode::Good);
    assert_eq!(stub.asked(), 1);

    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for app in [&first, &second] {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    ask(app, &format!("load {}", done.fetch_add(1, Ordering::Relaxed)));
                }
            });
        }
        let goes_on = |what: &str| {
            let now = done.load(Ordering::Relaxed);
            wait_for(what, || done.load(Ordering::Relaxed) > now + 50);
        };
        goes_on("load with Redis");
        redis.kill();
        goes_on("load without Redis");
        redis.revive();
        wait_for("Redis is used again", || redis.keys() > 10);
        stop.store(true, Ordering::Relaxed);
    });
    for app in [&mut first, &mut second] {
        app.signal(rustix::process::Signal::TERM);
        app.signal(rustix::process::Signal::TERM);
        app.wait();
        let log = serde_json::to_string(&app.log()).unwrap();
        assert!(log.contains("caching in the process alone") && log.contains("Redis answers again"), "{log}");
        assert!(!log.contains("hunter2"));
    }
}
