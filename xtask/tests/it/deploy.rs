//! The whole of it on one machine: this repository's own service, a real Docker Engine, load from the first version on.
//!
//! The phases stand on each other and share one environment, because each build of the service costs seconds.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    command::{Repository, Run},
    kubectl,
    load::{Load, Report},
};

/// A clone of this repository whose service is published on a free port.
struct Clone {
    repository: Repository,
    address: SocketAddr,
}

const OVERLAY: &str = "manifests/overlays/local/kustomization.yaml";
const CONFIGURATION: &str = "infra-config/local.yaml";

#[test]
fn a_service_lives_through_updates_failures_and_kills() {
    let clone = Clone::new();
    first_deploy_answers(&clone);
    second_deploy_changes_nothing(&clone);
    an_update_loses_no_request(&clone);
    a_crash_at_start_is_diagnosed(&clone);
    bad_configuration_is_diagnosed(&clone);
    a_missing_image_is_diagnosed(&clone);
    readiness_that_never_comes_times_out(&clone);
    a_killed_deploy_converges(&clone);
    a_killed_environment_converges(&clone);
    destroy_and_down_leave_nothing(&clone);
}

fn first_deploy_answers(clone: &Clone) {
    let run = clone.deploys();
    assert!(run.stderr.contains(" ok       verify"), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("the report is JSON");
    assert_eq!(report["url"], format!("http://{}", clone.address), "{report:#}");
    assert_eq!(clone.load_during(|| {}).failures, Vec::<String>::new());
}

fn second_deploy_changes_nothing(clone: &Clone) {
    let before = clone.pods();
    let run = clone.deploys();
    for stage in ["build", "push", "plan"] {
        assert!(run.stderr.contains(&format!(" same     {stage}")), "{stage} is not unchanged:\n{}", run.stderr);
    }
    assert!(run.stderr.contains("release 1 stands, nothing changed"), "{}", run.stderr);
    assert_eq!(clone.pods(), before);
}

fn an_update_loses_no_request(clone: &Clone) {
    let before = clone.pods();
    let file = clone.repository.root.join("app/src/main.rs");
    let mut source = fs::read_to_string(&file).expect("the service has a main.rs");
    source.push_str("\n// The next version.\n#[used]\nstatic NEXT: &str = \"the next version\";\n");
    fs::write(&file, source).expect("change the service");
    let report = clone.load_during(|| {
        clone.deploys();
    });
    report.lost_nothing_of(2_000);
    let after = clone.pods();
    assert_eq!(after.len(), 3, "{after:?}");
    assert!(after.iter().all(|pod| !before.contains(pod)), "the update replaced no pod: {before:?} -> {after:?}");
}

fn a_crash_at_start_is_diagnosed(clone: &Clone) {
    let patch = "      - op: add\n        path: /spec/template/spec/containers/0/env\n        value: [{name: PORT, value: eighty}]\n";
    let words = [
        "CrashLoopBackOff",
        "exits with code 78",
        "eighty",
        "3 old pods still serve",
        "rolled back to release",
        "hint: ",
    ];
    clone.broken(patch, 4, &words);
}

fn bad_configuration_is_diagnosed(clone: &Clone) {
    let patch = "      - op: add\n        path: /spec/template/spec/containers/0/envFrom\n        value: [{configMapRef: {name: absent}}]\n";
    clone.broken(
        patch,
        4,
        &["CreateContainerConfigError", "configmap \"absent\" not found", "3 old pods still serve", "hint: "],
    );
}

fn a_missing_image_is_diagnosed(clone: &Clone) {
    let patch = "      - op: add\n        path: /spec/template/spec/initContainers\n        value:\n          \
        - name: setup\n            image: 127.0.0.1:1/absent:1\n            \
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n";
    // What failed stays if that is wished, until it is corrected.
    clone.broken(patch, 1, &["127.0.0.1:1/absent:1", "ImagePull", "3 old pods still serve", "hint: "]);
}

fn readiness_that_never_comes_times_out(clone: &Clone) {
    let patch = "      - op: replace\n        path: /spec/template/spec/containers/0/readinessProbe/httpGet/path\n        value: /absent\n";
    clone.broken(patch, 70, &["Readiness probe failed", "404", "3 old pods still serve", "hint: "]);
}

fn a_killed_deploy_converges(clone: &Clone) {
    for (round, after) in [30, 150, 400, 900].into_iter().enumerate() {
        clone.patch_deployment(&format!(
            "      - op: add\n        path: /spec/template/metadata/annotations\n        value: {{round: \"{round}\"}}\n"
        ));
        let mut deploy = clone.repository.command(&["deploy"]);
        let mut child = deploy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a deploy");
        std::thread::park_timeout(Duration::from_millis(after));
        child.kill().expect("kill the deploy");
        child.wait().expect("reap the deploy");
        clone.deploys();
        assert_eq!(clone.pods().len(), 3, "after a kill at {after} ms");
    }
    clone.unpatch();
    clone.deploys();
}

fn a_killed_environment_converges(clone: &Clone) {
    let before = clone.pods();
    clone.kill_environment();
    clone.deploys();
    assert_eq!(clone.pods(), before, "pods that ran on were not adopted");

    // In the middle of a rollout, and one container is lost meanwhile.
    clone.patch_deployment(
        "      - op: add\n        path: /spec/template/metadata/annotations\n        value: {round: killed}\n",
    );
    let mut deploy = clone.repository.command(&["deploy"]);
    let mut child = deploy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a deploy");
    std::thread::park_timeout(Duration::from_millis(1_200));
    clone.kill_environment();
    child.kill().expect("kill the deploy");
    child.wait().expect("reap the deploy");
    if let Some(container) = clone.docker(&["ps", "-q", "--filter", "label=dev.slipway.container=app"]).first() {
        clone.docker(&["kill", container]);
    }
    clone.deploys();
    assert_eq!(clone.pods().len(), 3);
    assert_eq!(
        clone.docker(&["ps", "-q", "--filter", "label=dev.slipway.container=app"]).len(),
        3,
        "a container is doubled or missing"
    );
}

fn destroy_and_down_leave_nothing(clone: &Clone) {
    let run = clone.repository.run(&["destroy"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(clone.docker(&["ps", "-aq", "--filter", "label=dev.slipway.container=app"]), Vec::<String>::new());
    let run = clone.repository.run(&["local", "down"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    clone.nothing_is_left();
}

impl Clone {
    fn new() -> Self {
        let repository = Repository::clone_of_the_workspace();
        // The port is free now; nobody else on this machine is told of it.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("find a free port");
        let clone = Self { repository, address };
        clone.unpatch();
        clone
    }

    /// The overlay with the service on this clone's port.
    fn overlay(&self) -> String {
        let ours = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(OVERLAY))
            .expect("the repository has a local overlay");
        assert!(ours.contains("value: 8080"), "the overlay publishes 8080");
        ours.replace("value: 8080", &format!("value: {}", self.address.port()))
    }

    fn unpatch(&self) {
        self.repository.write(OVERLAY, &self.overlay());
    }

    /// Adds JSON 6902 operations on the Deployment to the overlay.
    fn patch_deployment(&self, operations: &str) {
        let patch = format!("  - target:\n      kind: Deployment\n      name: app\n    patch: |-\n{operations}");
        self.repository.write(OVERLAY, &format!("{}{patch}", self.overlay()));
    }

    #[track_caller]
    fn deploys(&self) -> Run {
        let run = self.repository.run(&["deploy", "--output", "json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run
    }

    /// Deploys a version that cannot come up: the words are said, the exit code is this, and the old one serves on.
    #[track_caller]
    fn broken(&self, operations: &str, code: i32, words: &[&str]) {
        let before = self.pods();
        self.patch_deployment(operations);
        let configuration = fs::read_to_string(self.repository.root.join(CONFIGURATION)).expect("read local.yaml");
        let timeout = if code == 70 { "8s" } else { "5m" };
        let on_failure = if code == 4 { "rollback" } else { "keep" };
        let rollout = format!("rollout: {{timeout: {timeout}, on_failure: {on_failure}}}\n");
        self.repository.write(CONFIGURATION, &format!("{rollout}{configuration}"));
        let mut run = None;
        let report = self.load_during(|| run = Some(self.repository.run(&["deploy"])));
        let run = run.expect("the deploy ran");
        self.repository.write(CONFIGURATION, &configuration);
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "{word:?} is not said:\n{}", run.stderr);
        }
        report.lost_nothing_of(200);
        self.unpatch();
        self.deploys();
        assert_eq!(self.pods(), before, "the old pods did not serve on");
    }

    /// What load on the service saw while something was done, and for a moment after.
    fn load_during(&self, work: impl FnOnce()) -> Report {
        let load = Load::start(self.address, 4);
        work();
        std::thread::park_timeout(Duration::from_millis(500));
        load.stop()
    }

    /// The names of the pods that are not on their way out, sorted.
    fn pods(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(40);
        while Instant::now() < deadline {
            let list = self.kubectl(&["get", "pods", "--namespace", "app", "--output", "json"]);
            let items = list["items"].as_array().cloned().unwrap_or_default();
            let leaving = items.iter().any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
            names = items.iter().filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect();
            names.sort();
            if !leaving {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        names
    }

    fn kubectl(&self, arguments: &[&str]) -> Value {
        let output = Command::new(kubectl::program())
            .arg("--kubeconfig")
            .arg(self.state().join("kubeconfig"))
            .args(arguments)
            .output()
            .expect("run kubectl");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("kubectl prints JSON")
    }

    /// The lines that a docker command prints about this clone's environment.
    fn docker(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new("docker");
        command.args(arguments);
        if arguments.contains(&"--filter") {
            command.arg("--filter").arg(format!("label=dev.slipway.directory={}", self.state().display()));
        }
        let output = command.output().expect("run docker");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn state(&self) -> PathBuf {
        self.repository.root.join(".slipway/local")
    }

    fn process(&self) -> Option<u32> {
        let text = fs::read_to_string(self.state().join("process.json")).ok()?;
        let process: Value = serde_json::from_str(&text).expect("process.json is JSON");
        Some(u32::try_from(process["pid"].as_u64().expect("process.json has a pid")).expect("a pid has 32 bits"))
    }

    fn kill_environment(&self) {
        let pid = self.process().expect("the environment runs").to_string();
        let status = Command::new("kill").args(["-9", &pid]).status().expect("run kill");
        assert!(status.success(), "kill -9 {pid}");
    }

    fn nothing_is_left(&self) {
        for listing in [&["ps", "-aq"] as &[&str], &["network", "ls", "-q"], &["volume", "ls", "-q"]] {
            let left = self.docker(&[listing, &["--filter", "name=slipway"]].concat());
            assert_eq!(left, Vec::<String>::new(), "docker {listing:?}");
        }
        assert!(!self.state().exists(), "{} is still there", self.state().display());
        assert!(TcpListener::bind(self.address).is_ok(), "{} is still taken", self.address);
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // A failed phase must not leave an environment running.
        if self.state().exists() {
            self.repository.run(&["local", "down"]);
        }
    }
}

impl Report {
    #[track_caller]
    fn lost_nothing_of(&self, least: u64) {
        assert!(self.sent >= least, "only {} requests were sent", self.sent);
        assert!(
            self.failures.is_empty(),
            "{} of {} requests failed, on {} connections: {:#?}",
            self.failures.len(),
            self.sent,
            self.connections,
            &self.failures[..self.failures.len().min(5)]
        );
    }
}
