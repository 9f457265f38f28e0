//! Versions that do not work, as pods on Docker: each is diagnosed, and the version before serves on.

use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use xtask::{
    config::{Check, Through},
    error::{Error, Kind},
    manifests::Object,
    rollout,
    ui::Step,
    verify,
};

use crate::delivery::Local;

/// A service in as few lines as it takes; what is wrong with it comes by the variable MODE.
const SERVICE: &str = r#"
use std::{env::{var}, io::{Read, Write}, net::TcpListener, process::{exit}};
fn main() {
    let mode = var("MODE").unwrap_or_default();
    if mode == "crash" {
        eprintln!("configuration: MODE must be serve, got \"crash\"");
        exit(78);
    }
    if mode == "done" {
        exit(0);
    }
    if mode == "eat" {
        let mut eaten = Vec::new();
        loop {
            eaten.push(vec![1u8; 1 << 20]);
        }
    }
    for stream in TcpListener::bind("0.0.0.0:8080").unwrap().incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap_or(0);
        let unready = mode == "unready" && request[..read].starts_with(b"GET /readyz");
        let status = if unready { "503 Service Unavailable" } else { "200 OK" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 6\r\nconnection: close\r\n\r\n{mode:>6}");
    }
}
"#;

/// Builds the service and pushes it to the environment's registry; returns the reference by digest.
pub(crate) fn push(local: &Local) -> String {
    let folder = local.repository.root.join("service");
    fs::create_dir_all(&folder).expect("create the folder");
    fs::write(folder.join("main.rs"), SERVICE).expect("write the source");
    fs::write(
        folder.join("Dockerfile"),
        "FROM scratch\nCOPY service /service\nUSER 65532:65532\nENTRYPOINT [\"/service\"]\n",
    )
    .expect("write the Dockerfile");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"]);
    output(rustc.args(["-o", "service", "main.rs"]).current_dir(&folder));
    let process = fs::read_to_string(local.repository.root.join(".slipway/local/process.json")).expect("it runs");
    let process: Value = serde_json::from_str(&process).expect("it is JSON");
    let name = format!("{}/app:test", process["registry"].as_str().expect("a registry"));
    output(Command::new("docker").args(["build", "--quiet", "--tag", &name, "."]).current_dir(&folder));
    output(Command::new("docker").args(["push", "--quiet", &name]));
    let digests = output(Command::new("docker").args(["inspect", "--format", "{{index .RepoDigests 0}}", &name]));
    output(Command::new("docker").args(["rmi", &name]));
    digests.trim().to_owned()
}

/// What the pods' image leaves in Docker, removed once no container needs it.
pub(crate) struct Pulled(pub(crate) String);

impl Drop for Pulled {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "--force", &self.0]).output();
    }
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

async fn wait(local: &Local, image: &str) -> Result<String, Error> {
    let objects: Vec<_> = local.render(image).iter().map(Object::reference).collect();
    rollout::wait(&local.client, local.unit(), &objects, &Step::silent()).await
}

/// What the service answers through its load balancer.
async fn served(local: &Local) -> Result<verify::Verified, Error> {
    served_through(local, Through::Auto).await
}

async fn served_through(local: &Local, through: Through) -> Result<verify::Verified, Error> {
    let mut environment = local.environment.clone();
    environment.services[0].address.through = through;
    environment.services[0].verify = vec![Check {
        name: "answers".into(),
        method: "GET".into(),
        path: "/".into(),
        headers: Default::default(),
        body: None,
        status: 200,
        json: None,
        contains: Some(" serve".into()),
        timeout: Duration::from_secs(5),
    }];
    verify::verify(&local.client, environment.unit(None)?, &Step::silent()).await
}

#[track_caller]
fn diagnosed(error: &Error, kind: Kind, sentence: &str, causes: &[&str]) {
    let Error { message, .. } = error;
    assert!(message.starts_with("rollout of Deployment app/app: container `app` in pod app-"), "{error:?}");
    assert!(message.ends_with(sentence), "{error:?}");
    for cause in causes {
        assert!(error.causes.iter().any(|found| found.contains(cause)), "no {cause:?} in {error:?}");
    }
    assert_eq!(error.causes.last().map(String::as_str), Some("3 old pods still serve"), "{error:?}");
    assert_eq!(error.kind, kind, "{error:?}");
}

#[tokio::test]
async fn broken_versions_are_diagnosed_and_the_old_one_serves_on() {
    const DEPLOYMENT: &str = "manifests/base/deployment.yaml";
    let mut pulled = Pulled(String::new());
    let mut local = Local::new().await;
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
    local.edit("manifests/overlays/local/kustomization.yaml", "value: 8080", &format!("value: {port}"));
    // The stand-in does not listen to SIGTERM.
    local.edit(DEPLOYMENT, "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 1");
    local.edit(
        DEPLOYMENT,
        "            - name: DRAIN_DELAY",
        "            - name: MODE\n              value: serve\n            - name: DRAIN_DELAY",
    );
    let image = push(&local);
    image.clone_into(&mut pulled.0);
    local.apply(&image).await;
    assert_eq!(wait(&local, &image).await.expect("it starts"), "3 of 3 pods new and available");
    let verified = served(&local).await.expect("it answers");
    assert_eq!(verified.url, format!("http://127.0.0.1:{port}"));

    let forwarded = served_through(&local, Through::PortForward).await.expect("it answers through the API server");
    assert_eq!(forwarded.url, format!("http://app.app:{port}"));
    let missing = served_through(&local, Through::Ingress).await.expect_err("there is no Ingress");
    assert_eq!(missing.causes, ["no Ingress leads to it"]);

    // It was ready before anybody waited: nothing is waited for a second time.
    let began = Instant::now();
    wait(&local, &image).await.expect("it is ready");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());

    local.edit(DEPLOYMENT, "value: serve", "value: crash");
    local.apply(&image).await;
    let error = wait(&local, &image).await.expect_err("it crashes");
    let lines = "its last lines:\n  configuration: MODE must be serve, got \"crash\"";
    diagnosed(&error, Kind::Failed, "exits with code 78, 3 times (CrashLoopBackOff)", &[lines, "BackOff"]);
    assert_eq!(error.hint.as_deref(), Some("more of its log: cargo xtask logs --env local --previous"));
    served(&local).await.expect("the version before answers");

    local.edit(DEPLOYMENT, "value: crash", "valueFrom: {configMapKeyRef: {name: nowhere, key: mode}}");
    local.apply(&image).await;
    let error = wait(&local, &image).await.expect_err("its configuration is not there");
    let sentence = "cannot be created (CreateContainerConfigError): configmap \"nowhere\" not found";
    diagnosed(&error, Kind::Failed, sentence, &["its events:\n  "]);
    served(&local).await.expect("the version before answers");

    local.edit(DEPLOYMENT, "valueFrom: {configMapKeyRef: {name: nowhere, key: mode}}", "value: unready");
    local.apply(&image).await;
    local.environment.rollout.timeout = Duration::from_secs(12);
    let error = wait(&local, &image).await.expect_err("it never becomes ready");
    diagnosed(&error, Kind::TimedOut, "runs but is not ready after 12 s", &["Unhealthy", "503"]);
    served(&local).await.expect("the version before answers");

    local.edit(DEPLOYMENT, "value: unready", "value: serve");
    local.apply(&image).await;
    assert_eq!(wait(&local, &image).await.expect("the old version again"), "3 of 3 pods new and available");
}
