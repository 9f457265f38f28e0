//! `dev`: a service that follows its source.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::TcpStream,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::Repository;

const PATIENCE: Duration = Duration::from_secs(120);

/// A service that prints its word and its port, and says the word to whoever connects.
fn source(word: &str) -> String {
    format!(
        "use std::io::Write;\nfn main() {{\n    let ip = std::env::var(\"ADDRESS\").unwrap();\n    \
         let listener = std::net::TcpListener::bind((ip.as_str(), 0)).unwrap();\n    \
         println!(\"{word} {{}}\", listener.local_addr().unwrap());\n    \
         for stream in listener.incoming() {{\n        let _ = stream.unwrap().write_all(b\"{word}\");\n    }}\n}}\n"
    )
}

struct Dev {
    process: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

fn collect(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let (text, lines) = (Arc::new(Mutex::new(String::new())), BufReader::new(from).lines());
    let said = text.clone();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            said.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    text
}

impl Dev {
    fn start(repository: &Repository) -> Self {
        let mut command = repository.command(&["dev"]);
        command.env_remove("ADDRESS").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let stdout = collect(process.stdout.take().unwrap());
        let stderr = collect(process.stderr.take().unwrap());
        Self { process, stdout, stderr }
    }

    /// What the service that started last says, if it is there.
    fn word(&self) -> Option<String> {
        let stdout = self.stdout.lock().unwrap().clone();
        let (_, address) = stdout.lines().last()?.split_once(' ')?;
        let mut word = String::new();
        TcpStream::connect(address).ok()?.read_to_string(&mut word).ok()?;
        Some(word)
    }

    #[allow(clippy::disallowed_methods, reason = "there is no runtime to block")]
    #[track_caller]
    fn wait(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            let said = self.stderr.lock().unwrap().clone();
            assert!(Instant::now() < end && self.process.try_wait().unwrap().is_none(), "{what} never came:\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_service_follows_its_source() {
    let repository = Repository::new(&[
        ("infra-config/local.yaml", ""),
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"app\"]\n"),
        ("app/Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
        ("app/src/main.rs", &source("one")),
    ]);
    let mut dev = Dev::start(&repository);
    dev.wait("the first", |dev| dev.word().as_deref() == Some("one"));
    repository.write("app/src/main.rs", &source("two"));
    dev.wait("the second", |dev| dev.word().as_deref() == Some("two"));
    // What does not build changes nothing.
    repository.write("app/src/main.rs", "fn main() { nonsense }\n");
    dev.wait("the compiler's error", |dev| dev.stderr.lock().unwrap().contains("error: build app"));
    assert_eq!(dev.word().as_deref(), Some("two"), "the one before has gone");
    repository.write("app/src/main.rs", &source("three"));
    dev.wait("the third", |dev| dev.word().as_deref() == Some("three"));
    // A service that ends by itself comes back with the next change.
    repository.write("app/src/main.rs", "fn main() {}\n");
    dev.wait("its end", |dev| dev.stderr.lock().unwrap().contains("the service has ended"));
    repository.write("app/src/main.rs", &source("four"));
    dev.wait("the fourth", |dev| dev.word().as_deref() == Some("four"));
    kill_process(Pid::from_child(&dev.process), Signal::INT).unwrap();
    assert_eq!(dev.process.wait().unwrap().code(), Some(130));
    assert_eq!(dev.word(), None, "the service was left behind");
    assert!(dev.stderr.lock().unwrap().contains("interrupted"));
}
