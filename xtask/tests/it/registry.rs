//! Registries that want to know who asks: Debian's docker-registry with passwords, and a token server of ours that
//! skopeo judges.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::command::{Repository, Run, remove_images};

const NAME: &str = "ship";
const PASSWORD: &str = "canary-5f0c9e1d";

/// Debian's docker-registry on a free port; gone at the end of the test.
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
}

impl Registry {
    /// With a password when `protected`.
    pub(crate) fn start(protected: bool) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let folder = std::env::temp_dir().join(format!("slipway-registry-{}", address.port()));
        std::fs::create_dir_all(&folder).expect("create a folder");
        let mut configuration = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\nlog: {{level: error}}\n",
            folder.join("data").display()
        );
        if protected {
            // bcrypt of PASSWORD, the only hash that it takes.
            let file = folder.join("htpasswd");
            std::fs::write(&file, format!("{NAME}:{HASH}\n")).expect("write the passwords");
            configuration.push_str(&format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display()));
        }
        std::fs::write(folder.join("config.yml"), configuration).expect("write its configuration");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed by `cargo xtask test`");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not start");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Self { child, address, folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const HASH: &str = "$2b$04$zJOiQ2/yCU4ZTQWL9EZFFuAdpOdEjE6lQ1xxq.eKw5QlsR4JXKfMe";

/// A repository with one small package that is pushed to a registry; its images go with it.
struct Project {
    repository: Repository,
    name: String,
}

impl Project {
    fn new(registry: &str) -> Self {
        let repository = Repository::new(&[
            ("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n"),
            ("src/main.rs", "fn main() {\n    loop {\n        std::thread::park();\n    }\n}\n"),
            (".gitignore", "/target\n/.slipway\n"),
            ("m/kustomization.yaml", "namespace: app\nresources: [app.yaml]\n"),
            ("m/app.yaml", ""),
        ]);
        let name = format!("pull-{}", repository.root.file_name().expect("it has a name").display());
        repository.write("m/app.yaml", &MANIFESTS.replace("NAME", &name));
        repository.write(
            "infra-config/local.yaml",
            &format!("service: {{name: {name}}}\nmanifests: m\nregistry:\n  generic:\n{registry}"),
        );
        repository.commit();
        Self { repository, name }
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let folder = self.repository.root.join("docker");
        std::fs::create_dir_all(&folder).expect("create a folder");
        let mut command = self.repository.command(arguments);
        command.env("DOCKER_CONFIG", folder).envs(variables.iter().copied());
        let run = Run::of(&mut command);
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(PASSWORD), "the password is shown:\n{text}");
            assert!(!text.contains(&STANDARD.encode(format!("{NAME}:{PASSWORD}"))), "the password is shown:\n{text}");
        }
        run
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.repository.run(&["local", "down"]);
        remove_images(&[&self.name, &format!("*/{}", self.name)]);
    }
}

const MANIFESTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: NAME, image: NAME, imagePullPolicy: Always}]
";

const VARIABLES: [(&str, &str); 2] = [("SHIP_NAME", NAME), ("SHIP_PASSWORD", PASSWORD)];
const CREDENTIALS: &str = "    credentials: {username: SHIP_NAME, password: SHIP_PASSWORD}\n";

#[test]
fn a_plain_registry_needs_no_credentials_and_no_secret() {
    let registry = Registry::start(false);
    let project = Project::new(&format!("    host: {}\n    repository: team/{{service}}\n", registry.address));
    let run = project.run(&["push"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let reference = run.stdout.trim();
    assert!(reference.starts_with(&format!("{}/team/{}@sha256:", registry.address, project.name)), "{reference}");
    let seen = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", &format!("docker://{reference}")])
        .output()
        .expect("run skopeo");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    let again = project.run(&["push"], &[]);
    assert!(again.stderr.contains(" same     push"), "{}", again.stderr);
}

#[test]
fn a_password_is_shown_to_the_registry_and_to_nobody_else() {
    let registry = Registry::start(true);
    let project = Project::new(&format!("    host: {}\n{CREDENTIALS}", registry.address));
    let host = registry.address.to_string();

    let run = project.run(&["push"], &[]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let expected = format!("error: log in to {host}: SHIP_NAME and SHIP_PASSWORD is not set\n");
    assert!(run.stderr.contains(&expected), "{}", run.stderr);

    let run = project.run(&["push"], &[("SHIP_NAME", NAME), ("SHIP_PASSWORD", "wrong")]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: do SHIP_NAME and SHIP_PASSWORD hold an account that may push to "),
        "{}",
        run.stderr
    );

    let run = project.run(&["push"], &VARIABLES);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let run = project.run(&["push"], &VARIABLES);
    assert!(run.stderr.contains(" same     push"), "{}", run.stderr);

    // What `docker login` leaves, and a helper in its place.
    let configuration =
        std::fs::read_to_string(project.repository.root.join("infra-config/local.yaml")).expect("it is there");
    project.repository.write("infra-config/local.yaml", &configuration.replace(CREDENTIALS, ""));
    let run = project.run(&["push"], &[]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("hint: log in with an account that may push there: docker login {host}")),
        "{}",
        run.stderr
    );
    let auths = json!({"auths": {&host: {"auth": STANDARD.encode(format!("{NAME}:{PASSWORD}"))}}});
    project.repository.write("docker/config.json", &auths.to_string());
    assert_eq!(project.run(&["push"], &[]).code, Some(0));
    project.repository.write("docker/config.json", &json!({"credHelpers": {&host: "slipway-test"}}).to_string());
    let helper = project.repository.root.join("bin/docker-credential-slipway-test");
    let answer = json!({"ServerURL": &host, "Username": NAME, "Secret": PASSWORD});
    let script = format!("#!/bin/sh\ntest \"$1 $(cat)\" = 'get {host}' && echo '{answer}'\n");
    project.repository.write("bin/docker-credential-slipway-test", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(helper, mode).expect("make it a program");
    let path = format!("{}:{}", project.repository.root.join("bin").display(), env!("PATH"));
    let run = project.run(&["push"], &[("PATH", &path)]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// The pods pull with the Secret that is made for them, which is neither printed nor kept in the release's record.
#[test]
fn pods_pull_with_a_secret_that_is_made_for_them() {
    let registry = Registry::start(true);
    let project = Project::new(&format!("    host: {}\n{CREDENTIALS}", registry.address));
    let run = project.run(&["deploy", "--output", "json"], &VARIABLES);
    // Nothing answers HTTP here: all but the last stage succeeds.
    assert!(run.stderr.contains(" ok       rollout"), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("the report is JSON");
    let secret = format!("{}-registry", project.name);
    let changes = report["changes"].to_string();
    assert!(changes.contains(&secret), "{changes}");

    assert!(!report.to_string().contains(&STANDARD.encode(PASSWORD)[..12]), "the report holds the password");

    // Docker asks the registry for a tag each time; a digest that it has once seen it does not ask for again.
    let image =
        report["image"]["reference"].as_str().expect("it was pushed").split('@').next().unwrap_or_default().to_owned();
    let tag = project.run(&["build-image", "--output", "json"], &VARIABLES);
    let tag: Value = serde_json::from_str(&tag.stdout).expect("the report is JSON");
    let image = format!("{image}:{}", tag["name"].as_str().and_then(|name| name.rsplit_once(':')).expect("a tag").1);
    let pod = |name: &str, specification: Value| {
        let overrides = json!({"spec": specification}).to_string();
        let kubeconfig = project.run(&["local", "kubeconfig"], &[]).stdout;
        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new(crate::kubectl::program());
            command.args(["--kubeconfig", kubeconfig.trim(), "--namespace", "app"]).args(arguments);
            let output = command.output().expect("run kubectl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        kubectl(&["run", name, "--image", &image, "--image-pull-policy", "Always", "--overrides", &overrides]);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let state = kubectl(&["get", "pod", name, "--output", "jsonpath={.status.containerStatuses[0].state}"]);
            if state.contains("running") || state.contains("ImagePull") || Instant::now() > deadline {
                return state;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    };
    let with = pod("with", json!({"imagePullSecrets": [{"name": secret}]}));
    assert!(with.contains("running"), "{with}");
    let without = pod("without", json!({}));
    assert!(without.contains("no basic auth credentials"), "{without}");
}

/// localkube's registry behind a token server of ours.
struct TokenRegistry {
    address: SocketAddr,
    /// What was asked of the token server: `password pull`, `refresh pull,push`, `nobody pull`.
    asked: Arc<Mutex<BTreeSet<String>>>,
    folder: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl TokenRegistry {
    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let folder = std::env::temp_dir().join(format!("slipway-tokens-{}", address.port()));
        let asked = Arc::default();
        let registry = localkube::registry::router(&folder).layer(middleware::from_fn(
            move |request: Request, next: Next| async move {
                if request.headers().get(header::AUTHORIZATION).is_some_and(|shown| shown == "Bearer sold") {
                    return next.run(request).await;
                }
                let path = request
                    .uri()
                    .path()
                    .trim_start_matches("/v2/")
                    .split("/manifests/")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let challenge = format!(
                    "Bearer realm=\"http://{address}/token\",service=\"test\",scope=\"repository:{path}:pull\""
                );
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], "").into_response()
            },
        ));
        let router = Router::new().route("/token", any(sell)).with_state(Arc::clone(&asked)).merge(registry);
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { address, asked, folder, _runtime: runtime }
    }

    fn asked(&self, what: &str) -> bool {
        self.asked.lock().expect("nobody panics").contains(what)
    }
}

impl Drop for TokenRegistry {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn sell(
    State(asked): State<Arc<Mutex<BTreeSet<String>>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let query = format!("{}&{body}", uri.query().unwrap_or_default());
    let basic = format!("Basic {}", STANDARD.encode(format!("{NAME}:{PASSWORD}")));
    let who = if headers.get(header::AUTHORIZATION).is_some_and(|shown| *shown == *basic) {
        "password"
    } else if body.contains("grant_type=refresh_token") && body.contains(&format!("refresh_token={PASSWORD}")) {
        "refresh"
    } else {
        "nobody"
    };
    let what = if query.contains("pull%2Cpush") || query.contains("push%2Cpull") { "push" } else { "pull" };
    asked.lock().expect("nobody panics").insert(format!("{who} {what}"));
    if who == "nobody" {
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}"#;
        return (StatusCode::UNAUTHORIZED, body).into_response();
    }
    r#"{"token": "sold", "access_token": "sold"}"#.into_response()
}

#[test]
fn tokens_are_bought_with_a_password_or_a_refresh_token() {
    let registry = TokenRegistry::start();
    let host = registry.address.to_string();
    let project = Project::new(&format!("    host: {host}\n{CREDENTIALS}"));
    let run = project.run(&["push"], &VARIABLES);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let reference = run.stdout.trim();
    assert!(registry.asked("password push"));
    // The judge of the stand-in.
    let inspect = |arguments: &[&str]| {
        let output = Command::new("skopeo")
            .args(["inspect", "--tls-verify=false"])
            .args(arguments)
            .arg(format!("docker://{reference}"))
            .output();
        output.expect("run skopeo").status.success()
    };
    assert!(inspect(&["--creds", &format!("{NAME}:{PASSWORD}")]));
    assert!(!inspect(&["--no-creds"]));

    let configuration = project.repository.read("infra-config/local.yaml");
    project.repository.write("infra-config/local.yaml", &configuration.replace(CREDENTIALS, ""));
    let run = project.run(&["push"], &[]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("hint: log in with an account"), "{}", run.stderr);
    let auths = json!({"auths": {&host: {"auth": STANDARD.encode("0:"), "identitytoken": PASSWORD}}});
    project.repository.write("docker/config.json", &auths.to_string());
    let run = project.run(&["push"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(registry.asked("refresh push"));
}
