//! The optional components of `manifests/`: each renders as `kubectl kustomize` renders it, is what Kubernetes' own schemas
//! say, is let in by Pod Security, and does what it is there for.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use xtask::manifests::{render_directory, to_yaml};

use crate::{
    command::{Repository, Run},
    kubeconfig::Cluster,
    kubectl, render,
};

/// The schemas that the built-in kinds are held against.
const KUBERNETES: &str = "1.36";

/// Kinds of others, whose schemas nobody ships.
const CUSTOM: [&str; 3] = ["external-secrets.io/", "monitoring.coreos.com/", "traefik.io/"];

/// Components that go together.
const TOGETHER: [&[&str]; 4] = [
    &["database", "mysql", "redis", "ingress-traefik"],
    &["database", "migrate", "secrets", "redis", "ingress-aws", "monitoring", "logging/cloudwatch", "rbac"],
    &["logging/elk", "monitoring", "ingress-nginx"],
    &["monitoring", "ingress-aws", "redis", "migrate", "database"],
];

/// A repository with this one's manifests, whose overlays take up some components each.
struct Overlays(Repository);

impl Overlays {
    fn new() -> Self {
        let repository = Repository::of_the_workspace();
        let root = repository.root.clone();
        let overlays = Self(repository);
        let mut found = Vec::new();
        components(&root.join("manifests/components"), "", &mut found);
        assert!(found.len() >= 13, "components are missing: {found:?}");
        for name in &found {
            overlays.write(&name.replace('/', "-"), &[name]);
        }
        for (number, names) in TOGETHER.iter().enumerate() {
            overlays.write(&format!("together-{number}"), names);
        }
        overlays
    }

    fn write(&self, overlay: &str, components: &[&str]) {
        let lines: String = components.iter().map(|name| format!("  - ../../components/{name}\n")).collect();
        let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
        let text = format!("{head}resources:\n  - ../../base\ncomponents:\n{lines}");
        self.0.write(&format!("manifests/overlays/test-{overlay}/kustomization.yaml"), &text);
    }

    fn directories(&self) -> Vec<PathBuf> {
        let overlays = fs::read_dir(self.0.root.join("manifests/overlays")).expect("there are overlays");
        overlays
            .map(|entry| entry.expect("a directory").path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test-")))
            .collect()
    }

    fn rendered(&self, overlay: &str) -> Vec<Value> {
        self.read(&self.0.root.join("manifests/overlays").join(format!("test-{overlay}")))
    }

    fn read(&self, directory: &Path) -> Vec<Value> {
        let objects = render_directory(&self.0.root, directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        render::documents(&to_yaml(&objects))
    }
}

fn components(directory: &Path, prefix: &str, found: &mut Vec<&'static str>) {
    for entry in fs::read_dir(directory).expect("a directory of components") {
        let path = entry.expect("a file").path();
        if !path.is_dir() {
            continue;
        }
        let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
        if path.join("kustomization.yaml").exists() {
            found.push(String::leak(name));
        } else {
            components(&path, &format!("{name}/"), found);
        }
    }
}

fn custom(object: &Value) -> bool {
    CUSTOM.iter().any(|group| object["apiVersion"].as_str().is_some_and(|version| version.starts_with(group)))
}

/// One of Python's programs in `target/venv`.
fn python(name: &str) -> PathBuf {
    kubectl::program().with_file_name(name)
}

/// kubectl as the administrator of a cluster, whether it succeeds or not.
struct Kubectl(PathBuf);

impl Kubectl {
    fn run(&self, arguments: &[&str]) -> Output {
        self.with(arguments, "")
    }

    /// Applies what is in a text.
    fn apply(&self, text: &str, more: &[&str]) -> Output {
        self.with(&[&["apply", "--server-side", "--validate=strict", "--filename=-"], more].concat(), text)
    }

    fn with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(kubectl::program());
        command.arg("--kubeconfig").arg(&self.0).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut kubectl = command.spawn().expect("run kubectl");
        kubectl.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("kubectl reads it");
        kubectl.wait_with_output().expect("kubectl ends")
    }
}

fn list(objects: &[Value]) -> String {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

#[track_caller]
fn accepted(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn every_component_renders_as_kubectl_renders_it() {
    let overlays = Overlays::new();
    for directory in overlays.directories() {
        let output = Command::new(kubectl::program()).arg("kustomize").arg(&directory).output().expect("kubectl runs");
        accepted(&output, "kubectl kustomize");
        let theirs = render::documents(&String::from_utf8_lossy(&output.stdout));
        render::same(&directory, &overlays.read(&directory), &theirs);
    }
}

#[test]
fn every_component_is_what_kubernetes_schemas_say() {
    let overlays = Overlays::new();
    let mut files = Vec::new();
    for directory in overlays.directories() {
        let objects = overlays.read(&directory).into_iter().filter(|object| !custom(object));
        let documents: String = objects.map(|object| format!("---\n{object}\n")).collect();
        let file = directory.join("built-in.yaml");
        fs::write(&file, documents).expect("write the rendering");
        files.push(file);
    }
    let mut validate = Command::new(python("kubernetes-validate"));
    let output = validate.args(["--strict", "-k", KUBERNETES]).args(&files).output().expect("it runs");
    accepted(&output, "kubernetes-validate");
    // It can refuse.
    let wrong = files[0].with_file_name("wrong.yaml");
    fs::write(&wrong, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n").expect("write it");
    let mut validate = Command::new(python("kubernetes-validate"));
    let output = validate.args(["--strict", "-k", KUBERNETES]).arg(&wrong).output().expect("it runs");
    assert!(!output.status.success(), "a field that there is not was accepted");
}

/// Pods run under Pod Security's level of their namespace, which is `restricted` wherever it can be; and the API server's
/// strict reading of fields and its rules find nothing.
#[test]
fn every_component_is_let_in_by_the_api_server() {
    let (overlays, cluster) = (Overlays::new(), Cluster::new());
    let kubectl = Kubectl(cluster.kubeconfig());
    for directory in overlays.directories() {
        let (namespaces, objects): (Vec<Value>, Vec<Value>) = overlays
            .read(&directory)
            .into_iter()
            .filter(|object| !custom(object))
            .partition(|o| o["kind"] == "Namespace");
        let restricted = namespaces.iter().filter(|namespace| namespace["metadata"]["name"] != "logging");
        for namespace in restricted {
            assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
        }
        accepted(&kubectl.apply(&list(&namespaces), &[]), "namespaces");
        let answer = kubectl.apply(&list(&objects), &["--dry-run=server"]);
        accepted(&answer, &directory.display().to_string());
        let warnings = String::from_utf8_lossy(&answer.stderr);
        assert!(!warnings.contains("Warning"), "{}: {warnings}", directory.display());
    }
}

#[test]
fn the_three_teams_may_do_what_they_should() {
    let (overlays, cluster) = (Overlays::new(), Cluster::new());
    let kubectl = Kubectl(cluster.kubeconfig());
    accepted(&kubectl.apply(&list(&overlays.rendered("rbac")), &[]), "the roles");
    // Verb, resource, namespace; then viewer, deployer, admin.
    let may = [
        ("list pods app", [true, true, true]),
        ("get pods/log app", [true, true, true]),
        ("get deployments.apps app", [true, true, true]),
        ("get secrets app", [false, true, true]),
        ("patch deployments.apps app", [false, true, true]),
        ("delete services app", [false, true, true]),
        ("create pods/portforward app", [false, true, true]),
        ("create pods/exec app", [false, false, true]),
        ("create rolebindings.rbac.authorization.k8s.io app", [false, false, true]),
        ("list secrets slipway", [false, true, false]),
        ("patch leases.coordination.k8s.io slipway", [false, true, false]),
        ("list pods kube-system", [false, false, false]),
        ("get secrets default", [false, false, false]),
        ("delete namespaces app", [false, false, false]),
    ];
    for (question, expected) in may {
        let [verb, resource, namespace] = question.split(' ').collect::<Vec<_>>()[..] else { panic!("{question}") };
        for (group, expected) in ["viewers", "deployers", "admins"].into_iter().zip(expected) {
            let group = format!("--as-group=slipway:{group}");
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let subresource = format!("--subresource={subresource}");
            let place = ["--namespace", namespace, &subresource, "--as=jo", &group];
            let arguments = [&["auth", "can-i", verb, resource][..], &place].concat();
            let answer = kubectl.run(&arguments);
            assert_eq!(answer.status.success(), expected, "{question} {group}: {answer:?}");
        }
    }
}

/// A deploy asks beforehand whether it may do all that it will: a deployer may, in a namespace that an administrator made.
#[test]
fn a_deployer_may_deploy() {
    let (overlays, cluster) = (Overlays::new(), Cluster::new());
    let kubectl = Kubectl(cluster.kubeconfig());
    accepted(&kubectl.apply(&list(&overlays.rendered("rbac")), &[]), "the roles");
    cluster.kubectl(&["create", "serviceaccount", "ci", "--namespace=default"]);
    for namespace in ["--namespace=app", "--namespace=slipway"] {
        let role = ["create", "rolebinding", "ci", namespace, "--role=app-deployer", "--serviceaccount=default:ci"];
        cluster.kubectl(&role);
    }
    let role = ["create", "clusterrolebinding", "ci", "--clusterrole=app-deployer", "--serviceaccount=default:ci"];
    cluster.kubectl(&role);
    let repository = &overlays.0;
    for overlay in ["together-0", "together-3"] {
        let configuration =
            format!("cluster: {{kubeconfig: {{context: ci}}}}\nmanifests: manifests/overlays/test-{overlay}\n");
        repository.write("infra-config/other.yaml", &configuration);
        let (file, _) = cluster.account("ci", repository);
        let doctor = Run::of(repository.command(&["doctor", "--env", "other"]).env("KUBECONFIG", &file));
        let said = format!("{}{}", doctor.stdout, doctor.stderr);
        assert!(!said.contains("may not"), "{overlay}: {said}");
        assert!(said.contains("kubeconfig ci, Kubernetes v"), "{overlay}: {said}");
    }
}

/// The alert rules, by Prometheus' own tool: they parse, and on made-up series fire when and only when they should.
#[test]
fn the_alerts_fire_when_they_should() {
    let overlays = Overlays::new();
    let objects = overlays.rendered("monitoring");
    let rules = objects.iter().find(|object| object["kind"] == "PrometheusRule").expect("there are alerts");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts.yaml");
    overlays.0.write("rules.yaml", &rules["spec"].to_string());
    overlays.0.write("alerts.yaml", &fs::read_to_string(tests).expect("the tests are there"));
    let promtool = |arguments: &[&str]| {
        Command::new("promtool").args(arguments).current_dir(&overlays.0.root).output().expect("promtool runs")
    };
    accepted(&promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]), "promtool check rules");
    accepted(&promtool(&["test", "rules", "alerts.yaml"]), "promtool test rules");
    // Every alert is tried.
    let text = overlays.0.read("alerts.yaml");
    for group in rules["spec"]["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let Some(alert) = rule["alert"].as_str() else { continue };
            assert!(text.contains(&format!("alertname: {alert}\n        eval_time")), "{alert} is never seen to fire");
        }
    }
}

/// The development environment's file is what the Docker client takes.
#[test]
fn compose_takes_the_development_services() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut compose = Command::new("docker-compose");
    let output = compose.args(["--file", "compose.yaml", "config"]).current_dir(root).output().expect("it runs");
    accepted(&output, "docker-compose config");
    let services: Value = serde_yaml::from_slice(&output.stdout).expect("it prints YAML");
    for (service, port) in [("mariadb", "3306"), ("redis", "6379")] {
        let ports = services["services"][service]["ports"].to_string();
        assert!(ports.contains("127.0.0.1") && ports.contains(port), "{service}: {ports}");
    }
}
