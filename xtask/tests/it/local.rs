//! The life of the local environment's process: started once, found again, restarted, gone without a trace.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{command::Repository, kubectl};

/// A repository whose local environment ends with the test.
struct Environment(Repository);

impl Environment {
    fn new() -> Self {
        Self(Repository::new(&[("infra-config/local.yaml", "")]))
    }

    #[track_caller]
    fn up(&self) -> Value {
        let run = self.0.run(&["local", "up", "--output", "json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("the report is JSON")
    }

    fn pid(&self) -> Option<u64> {
        let run = self.0.run(&["local", "status", "--output", "json"]);
        let status: Value = serde_json::from_str(&run.stdout).expect("the status is JSON");
        status["pid"].as_u64()
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let kubeconfig = self.0.run(&["local", "kubeconfig"]).stdout;
        let output = Command::new(kubectl::program())
            .args(["--kubeconfig", kubeconfig.trim()])
            .args(arguments)
            .output()
            .expect("run kubectl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.root.join(".slipway/local").join(name)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.0.run(&["local", "down"]);
    }
}

fn kill(pid: &Value) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("run kill");
    assert!(status.success());
}

fn is_alive(pid: &Value) -> bool {
    // A killed child of ours stays as a zombie until it is waited for; these processes are nobody's children.
    Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
}

#[test]
fn it_is_started_once_and_leaves_nothing() {
    let environment = Environment::new();
    assert_eq!(environment.pid(), None);
    let refused = environment.0.run(&["local", "kubeconfig"]);
    refused.fails(1, "error: the local environment does not run\nhint: start it: cargo xtask local up\n");

    let first = environment.up();
    assert_eq!(environment.up(), first, "the second finds the first");
    let api = first["api"].as_str().expect("it says where it is");
    assert!(api.starts_with("https://127.0.0.1:"), "{api}");
    assert!(environment.kubectl(&["get", "namespaces", "--output", "name"]).contains("namespace/kube-system"));

    let down = environment.0.run(&["local", "down"]);
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    assert!(!is_alive(&first["pid"]));
    assert!(!environment.0.root.join(".slipway").exists());
    let again = environment.0.run(&["local", "down"]);
    assert!(again.stderr.starts_with(" same     local      there was nothing"), "{}", again.stderr);
}

#[test]
fn what_is_stored_outlives_a_kill() {
    let environment = Environment::new();
    let first = environment.up();
    environment.kubectl(&["label", "namespace", "default", "kept=yes"]);
    kill(&first["pid"]);
    let second = environment.up();
    assert_ne!(second["pid"], first["pid"]);
    assert_eq!(second["api"], first["api"], "kubeconfigs stay valid");
    assert_eq!(second["registry"], first["registry"], "image references stay valid");
    assert_eq!(
        environment.kubectl(&["get", "namespace", "default", "--output", "jsonpath={.metadata.labels.kept}"]),
        "yes"
    );
}

#[test]
fn two_that_start_it_at_once_share_one_process() {
    let environment = Environment::new();
    let start = || environment.0.command(&["local", "up", "--output", "json"]).output().expect("run the binary");
    let outputs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let pid = environment.pid().expect("it runs");
    for output in outputs {
        let report: Value = serde_json::from_slice(&output.stdout).expect("each reports");
        assert_eq!(report["pid"], pid, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn another_build_takes_over() {
    let environment = Environment::new();
    let first = environment.up();
    fs::write(environment.file("build"), "of last week").expect("write the file");
    let second = environment.up();
    assert_ne!(second["pid"], first["pid"]);
    assert!(!is_alive(&first["pid"]), "the old one has ended");
}

#[test]
fn a_half_written_record_of_the_process_is_no_obstacle() {
    let environment = Environment::new();
    let first = environment.up();
    fs::write(environment.file("process.json"), "{\"pid\": 1").expect("write the file");
    let second = environment.up();
    assert!(!is_alive(&first["pid"]), "it was found by its lock and ended");
    kill(&second["pid"]);
    // A record that names a living process which has nothing to do with it.
    let stranger =
        serde_json::json!({"pid": std::process::id(), "api": "https://127.0.0.1:1", "registry": "127.0.0.1:1"});
    fs::write(environment.file("process.json"), stranger.to_string()).expect("write the file");
    assert_eq!(environment.pid(), None, "nobody holds the lock");
    let third = environment.up();
    assert_ne!(third["pid"], stranger["pid"]);
}

#[test]
fn a_half_written_state_is_reported_with_the_way_out() {
    let environment = Environment::new();
    environment.0.write(".slipway/local/cluster.json", "{\"id\": \"0123");
    let began = Instant::now();
    let run = environment.0.run(&["local", "up"]);
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for what has ended");
    assert_eq!(run.code, Some(1));
    let file = environment.file("cluster.json");
    let expected = format!("{} cannot be used: EOF while parsing a string at line 1 column 12", file.display());
    assert!(
        run.stderr.contains("error: the local environment ended as it started (exit status: 1)\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert!(run.stderr.contains("when its state is damaged, `cargo xtask local down` removes it"), "{}", run.stderr);
    assert_eq!(environment.0.run(&["local", "down"]).code, Some(0));
    environment.up();
}
