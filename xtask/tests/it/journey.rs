//! A service's life on a cluster that a kubeconfig names: another environment's here, a real one where the variable
//! SLIPWAY_E2E_CONTEXT names its context. A cluster of kind is given the image, as its nodes see no Docker Engine.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    command::{Repository, Run},
    kubeconfig::Cluster,
    kubectl,
};

/// The namespaces of the service and of its releases, which no other test uses.
const NAMESPACE: &str = "slipway-journey";
const LEDGER: &str = "slipway-journey-releases";
const OVERLAY: &str = "manifests/overlays/journey/kustomization.yaml";
/// A credential. Wherever it comes out, it should not have.
const CANARY: &str = "c4n4ry-0b9f2d7e";

struct Journey {
    repository: Repository,
    kubeconfig: PathBuf,
    context: String,
    cluster: Option<Cluster>,
    /// Everything that was said so far.
    said: String,
}

#[test]
fn a_service_is_shipped_to_a_cluster_of_a_kubeconfig() {
    let mut journey = Journey::new();
    first_release(&mut journey);
    nothing_is_planned_after_a_deploy(&mut journey);
    drift_is_found_and_mended(&mut journey);
    what_left_the_manifests_is_pruned(&mut journey);
    a_broken_release_is_rolled_back(&mut journey);
    an_earlier_release_comes_back(&mut journey);
    no_secret_came_out(&mut journey);
    destroy_leaves_nothing(&mut journey);
}

fn first_release(journey: &mut Journey) {
    journey.overlay("");
    let report = journey.json(&["deploy"], 0);
    assert_eq!(report["released"], true, "{report:#}");
    assert_eq!(journey.outcomes(), ["succeeded"]);
}

fn nothing_is_planned_after_a_deploy(journey: &mut Journey) {
    journey.run(&["plan", "--exit-code"], 0);
    journey.run(&["drift", "--exit-code"], 0);
    journey.run(&["deploy"], 0);
    assert_eq!(journey.outcomes(), ["succeeded"], "a deploy of the same is no release");
}

fn drift_is_found_and_mended(journey: &mut Journey) {
    let patch =
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"app","env":[{"name":"DRAIN_DELAY","value":"4s"}]}]}}}}"#;
    journey.kubectl(&["patch", "deployment", "app", "--patch", patch]);
    let run = journey.run(&["drift", "--exit-code"], 3);
    assert!(run.stdout.contains("DRAIN_DELAY"), "{}", run.stdout);
    assert!(run.stdout.contains("kubectl-patch"), "who did it is not said:\n{}", run.stdout);
    let run = journey.run(&["deploy"], 1);
    assert!(run.stderr.contains("kubectl-patch"), "{}", run.stderr);
    journey.run(&["deploy", "--take-ownership"], 0);
    journey.run(&["drift", "--exit-code"], 0);
}

fn what_left_the_manifests_is_pruned(journey: &mut Journey) {
    let generator =
        "configMapGenerator:\n  - name: extra\n    literals: [a=1]\n    options: {disableNameSuffixHash: true}\n";
    journey.overlay(generator);
    journey.run(&["deploy"], 0);
    assert_eq!(journey.kubectl(&["get", "configmap", "extra"])["data"]["a"], "1");
    journey.overlay("");
    let run = journey.run(&["plan", "--exit-code"], 3);
    assert!(run.stdout.contains("extra"), "{}", run.stdout);
    journey.run(&["deploy"], 0);
    let left = journey.kubectl(&["get", "configmap", "--selector", "slipway.dev/id"]);
    assert_eq!(left["items"], serde_json::json!([]));
}

fn a_broken_release_is_rolled_back(journey: &mut Journey) {
    let before = journey.pods();
    journey.overlay(&environment("PORT", "eighty"));
    let run = journey.run(&["deploy"], 4);
    for word in ["exits with code 78", "eighty", "rolled back to release", "hint: "] {
        assert!(run.stderr.contains(word), "{word:?} is not said:\n{}", run.stderr);
    }
    assert_eq!(journey.pods(), before, "the old pods did not serve on");
    assert_eq!(journey.outcomes()[..2], ["succeeded", "rolled-back"]);
    journey.overlay("");
    journey.run(&["plan", "--exit-code"], 0);
}

fn an_earlier_release_comes_back(journey: &mut Journey) {
    journey.overlay(&environment("LOG_LEVEL", "warn"));
    journey.run(&["deploy"], 0);
    journey.run(&["rollback"], 0);
    let deployment = journey.kubectl(&["get", "deployment", "app"]).to_string();
    assert!(!deployment.contains("LOG_LEVEL"), "{deployment}");
    journey.overlay("");
    journey.run(&["plan", "--exit-code"], 0);
}

/// A Secret, one with a hash in its name, a variable and an address with a password, deployed, changed and broken.
fn no_secret_came_out(journey: &mut Journey) {
    let secrets = |suffix: &str| {
        format!(
            "secretGenerator:\n  - name: hashed\n    literals: [password={CANARY}-{suffix}]\n  - name: plain\n    \
             literals: [password={CANARY}-{suffix}]\n    options: {{disableNameSuffixHash: true}}\n\
             configMapGenerator:\n  - name: settings\n    literals: ['url=http://user:{CANARY}-{suffix}@127.0.0.1/']\n\
             patches:\n  - target: {{kind: Deployment, name: app}}\n    patch: |-\n      - op: add\n        \
             path: /spec/template/spec/containers/0/env/-\n        value: {{name: API_TOKEN, value: {CANARY}-{suffix}}}\n      \
             - op: add\n        path: /spec/template/spec/containers/0/envFrom\n        \
             value: [{{secretRef: {{name: hashed}}}}, {{secretRef: {{name: plain}}}}]\n"
        )
    };
    journey.said.clear();
    journey.overlay(&secrets("one"));
    journey.run(&["plan", "--output", "json"], 0);
    journey.run(&["deploy", "--verbose"], 0);
    journey.overlay(&secrets("two"));
    for format in ["text", "json", "markdown"] {
        journey.run(&["plan", "--output", format], 0);
    }
    journey.run(&["deploy", "--verbose"], 0);
    journey.overlay(&format!("{}      - op: add\n        path: /spec/template/spec/containers/0/env/-\n        value: {{name: PORT, value: eighty}}\n", secrets("three")));
    journey.run(&["deploy", "--verbose"], 4);
    let history = journey.json(&["history"], 0);
    let numbers: Vec<String> = releases(&history).iter().take(4).map(|one| one["number"].to_string()).collect();
    for number in &numbers {
        journey.run(&["show", number], 0);
        journey.json(&["show", number], 0);
    }
    journey.run(&["diff", &numbers[1], &numbers[2]], 0);
    journey.run(&["diff", &numbers[2], "live"], 0);
    journey.run(&["drift", "--output", "json"], 0);
    journey.run(&["rollback"], 0);
    assert!(!journey.said.contains(CANARY), "a secret was said:\n{}", around(&journey.said));
    let plan = journey.repository.root.join("plan.json");
    journey.run(&["plan", "--out", "plan.json"], 0);
    assert!(!fs::read_to_string(plan).expect("it was written").contains(CANARY), "a secret is in the saved plan");
    for secret in journey.kubectl(&["get", "secrets", "--namespace", LEDGER])["items"].as_array().expect("a list") {
        let unpacked = unpacked(secret);
        assert!(!unpacked.contains(CANARY), "a secret is in the ledger:\n{}", around(&unpacked));
    }
}

fn destroy_leaves_nothing(journey: &mut Journey) {
    journey.run(&["destroy"], 0);
    let left = journey.kubectl(&["get", "all,configmaps,secrets", "--selector", "slipway.dev/id"]);
    assert_eq!(left["items"], serde_json::json!([]));
    let ledger = journey.kubectl(&["get", "secrets,leases", "--namespace", LEDGER]);
    assert_eq!(ledger["items"], serde_json::json!([]), "the ledger is still there");
    journey.kubectl(&["delete", "namespace", LEDGER, "--ignore-not-found"]);
}

impl Journey {
    #[allow(clippy::disallowed_methods, reason = "which cluster it is, only who starts the tests can say")]
    fn new() -> Self {
        let (kubeconfig, context, cluster) = match env::var("SLIPWAY_E2E_CONTEXT") {
            Ok(context) => {
                let file = env::var("KUBECONFIG").map(PathBuf::from);
                let home = || PathBuf::from(env::var("HOME").expect("there is a home")).join(".kube/config");
                (file.unwrap_or_else(|_| home()), context, None)
            }
            Err(_) => {
                let cluster = Cluster::new();
                (cluster.kubeconfig(), "slipway-local".to_owned(), Some(cluster))
            }
        };
        let repository = Repository::clone_of_the_workspace();
        repository.write(
            "infra-config/journey.yaml",
            &format!(
                "service: {{namespace: {NAMESPACE}}}\nimage: {{profile: quick}}\nregistry: none\n\
                 cluster: {{kubeconfig: {{context: {context}, file: {}}}}}\n\
                 release: {{namespace: {LEDGER}}}\nrollout: {{timeout: 2m}}\nverify:\n  - request: {{method: POST, \
                 path: /v1, headers: {{content-type: application/json, authorization: 'Bearer {CANARY}'}}, \
                 body: '{{\"data\":\"reverse me\"}}'}}\n    expect: {{json: {{data: EM ESREVER}}}}\n",
                kubeconfig.display()
            ),
        );
        let journey = Self { repository, kubeconfig, context, cluster, said: String::new() };
        journey.overlay("");
        if let Some(name) = journey.context.strip_prefix("kind-") {
            let run = journey.repository.run(&["push", "--env", "journey"]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            let image = run.stdout.trim();
            let loaded = Command::new("kind").args(["load", "docker-image", image, "--name", name]).status();
            assert!(loaded.expect("run kind").success(), "kind load docker-image {image}");
        }
        journey
    }

    /// The base in a namespace of its own, with more.
    fn overlay(&self, more: &str) {
        let base = format!("namespace: {NAMESPACE}\nresources: [../../base]\n");
        self.repository.write(OVERLAY, &format!("{base}{more}"));
    }

    #[track_caller]
    fn run(&mut self, arguments: &[&str], code: i32) -> Run {
        let run = self.repository.run(&[arguments, &["--env", "journey"]].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}\n{}\n{}", run.stdout, run.stderr);
        self.said.push_str(&run.stdout);
        self.said.push_str(&run.stderr);
        run
    }

    #[track_caller]
    fn json(&mut self, arguments: &[&str], code: i32) -> Value {
        let run = self.run(&[arguments, &["--output", "json"]].concat(), code);
        serde_json::from_str(&run.stdout).expect("the report is JSON")
    }

    /// The releases' outcomes, the newest first.
    #[track_caller]
    fn outcomes(&mut self) -> Vec<String> {
        let history = self.json(&["history"], 0);
        releases(&history).iter().map(|one| one["outcome"].as_str().expect("it has one").to_owned()).collect()
    }

    /// The names of the pods that stay, sorted.
    fn pods(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let list = self.kubectl(&["get", "pods"]);
            let items = list["items"].as_array().expect("a list");
            let leaving = items.iter().any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
            if !leaving || Instant::now() > deadline {
                let name = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
                let mut names: Vec<String> = items.iter().map(name).collect();
                names.sort();
                return names;
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// What kubectl prints as JSON; in the service's namespace unless another one is named.
    #[track_caller]
    fn kubectl(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(kubectl::program());
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--context", &self.context]);
        if !arguments.contains(&"--namespace") {
            command.args(["--namespace", NAMESPACE]);
        }
        let reads = arguments[0] == "get";
        command.args(arguments).args(if reads { &["--output", "json"] as &[&str] } else { &[] });
        let output = command.output().expect("run kubectl");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        if reads { serde_json::from_slice(&output.stdout).expect("kubectl prints JSON") } else { Value::Null }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        if self.cluster.is_none() {
            // Of a real cluster a failed test leaves these two.
            let mut command = Command::new(kubectl::program());
            command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--context", &self.context]);
            let namespaces = ["delete", "namespace", NAMESPACE, LEDGER, "--ignore-not-found", "--wait=false"];
            let _ = command.args(namespaces).output();
        }
        // First what runs the images, then the images.
        drop(self.cluster.take());
        self.repository.run(&["local", "down"]);
    }
}

fn releases(history: &Value) -> &Vec<Value> {
    history["releases"].as_array().expect("a list of releases")
}

/// A patch that adds a variable to the container.
fn environment(name: &str, value: &str) -> String {
    format!(
        "patches:\n  - target: {{kind: Deployment, name: app}}\n    patch: |-\n      - op: add\n        \
         path: /spec/template/spec/containers/0/env/-\n        value: {{name: {name}, value: {value}}}\n"
    )
}

/// Everything that a Secret holds, decoded and decompressed.
fn unpacked(secret: &Value) -> String {
    use base64::Engine as _;
    use std::io::Read as _;
    let mut text = secret.to_string();
    for value in secret["data"].as_object().into_iter().flat_map(|data| data.values()) {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().expect("base64")).expect("base64");
        text.push_str(&String::from_utf8_lossy(&bytes));
        let mut inside = Vec::new();
        if flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut inside).is_ok() {
            text.push_str(&String::from_utf8_lossy(&inside));
        }
    }
    text
}

/// The lines that hold the canary.
fn around(text: &str) -> String {
    text.lines().filter(|line| line.contains(CANARY)).collect::<Vec<_>>().join("\n")
}
