//! A cluster of a test's own: a directory, a process's worth of tasks, and an image; gone when it is dropped, however the
//! test ended.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use bollard::{Docker, body_full, query_parameters::CreateImageOptions};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client, Config,
    api::{ListParams, LogParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::Runtime;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Cluster {
    pub(super) docker: Docker,
    pub(super) client: Client,
    pub(super) directory: PathBuf,
    pub(super) id: String,
    pub(super) image: String,
    runtime: Option<Runtime>,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubelet-{}-{number}", std::process::id()));
        let docker = Docker::connect_with_local_defaults().unwrap().negotiate_version().await.unwrap();
        let image = image(&docker, &format!("slipway-test-{}-{number}", std::process::id())).await;
        let (runtime, client, id) = serve(&directory).await;
        Self { docker, client, directory, id, image, runtime: Some(runtime) }
    }

    /// Ends every task where it stands, as SIGKILL does, and starts again on the same directory.
    pub(super) async fn kill_and_restart(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        fs::remove_file(self.directory.join("process.json")).unwrap();
        let (runtime, client, _) = serve(&self.directory).await;
        self.runtime = Some(runtime);
        self.client = client;
    }

    /// Ends every task for good.
    pub(super) fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates a pod with one container.
    pub(super) async fn run(&self, name: &str, command: &[&str], more: Value, more_container: Value) {
        let mut container = serde_json::json!({"name": "main", "image": self.image, "command": command});
        merge(&mut container, more_container);
        let mut pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": "slipway", "terminationGracePeriodSeconds": 1, "containers": [container]},
        });
        merge(&mut pod, more);
        self.create(pod).await;
    }

    pub(super) async fn create(&self, pod: Value) {
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    /// Waits until a pod's JSON satisfies the condition, and returns it.
    pub(super) async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let pod = serde_json::to_value(self.pods().get_opt(name).await.unwrap()).unwrap();
            if holds(&pod) {
                return pod;
            }
            assert!(began.elapsed() < PATIENCE, "pod {name} never was {what}: {:#}", pod["status"]);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub(super) async fn logs(&self, name: &str, previous: bool) -> String {
        let parameters = LogParams { previous, ..Default::default() };
        self.pods().logs(name, &parameters).await.unwrap()
    }

    /// The messages of events about a pod, by reason.
    pub(super) async fn events(&self, name: &str, reason: &str) -> Vec<Event> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let about = |event: &Event| {
            event.involved_object.name.as_deref() == Some(name) && event.reason.as_deref() == Some(reason)
        };
        all.into_iter().filter(about).collect()
    }

    /// What the engine has of this cluster.
    pub(super) async fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for command in [["ps", "-aq", "--no-trunc"].as_slice(), &["volume", "ls", "-q"], &["network", "ls", "-q"]] {
            let filter = format!("label=dev.slipway.cluster={}", self.id);
            let output = Command::new("docker").args(command).args(["--filter", &filter]).output().unwrap();
            left.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
        }
        let images = Command::new("docker").args(["images", "-q", &format!("slipway-{}/*", self.id)]).output().unwrap();
        left.extend(String::from_utf8_lossy(&images.stdout).lines().map(str::to_owned));
        left
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let runtime = self.runtime.take();
        let (docker, id, directory, image) =
            (self.docker.clone(), self.id.clone(), self.directory.clone(), self.image.clone());
        let cleanup = move || {
            if let Some(runtime) = runtime {
                runtime.shutdown_timeout(Duration::from_secs(1));
            }
            Runtime::new().unwrap().block_on(async {
                let _ = localkube::kubelet::remove_all(&docker, Some(&id), &directory, None).await;
                let _ = docker.remove_image(&image, None::<bollard::query_parameters::RemoveImageOptions>, None).await;
            });
            let _ = fs::remove_dir_all(directory);
        };
        // Runtimes may not be ended, nor entered, from inside of one.
        let _ = std::thread::spawn(cleanup).join();
    }
}

async fn serve(directory: &Path) -> (Runtime, Client, String) {
    let runtime = Runtime::new().unwrap();
    let options = localkube::serve::Options { directory: directory.to_owned(), ..Default::default() };
    runtime.spawn(async { localkube::serve::serve(options, std::future::pending()).await.unwrap() });
    let began = Instant::now();
    let process = loop {
        if let Ok(text) = fs::read_to_string(directory.join("process.json")) {
            break serde_json::from_str::<Value>(&text).unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "the cluster never answered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let kubeconfig = Kubeconfig::read_from(directory.join("kubeconfig")).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    (runtime, client, process["clusterId"].as_str().unwrap().to_owned())
}

/// An image FROM scratch around the test program.
async fn image(docker: &Docker, name: &str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = directory.join(format!("{name}.program"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kubelet/program.rs");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "--target",
            &target,
            "-o",
        ])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_path_with_name(&program, "test").unwrap();
    for directory in ["tmp", "scratch"] {
        archive.append_dir(directory, ".").unwrap();
    }
    fs::remove_file(program).unwrap();
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(name.to_owned()),
        tag: Some("1".to_owned()),
        ..Default::default()
    };
    let body = body_full(archive.into_inner().unwrap().into());
    let mut progress = Box::pin(docker.create_image(Some(options), Some(body), None));
    while let Some(step) = progress.next().await {
        step.unwrap();
    }
    format!("{name}:1")
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) if !from.is_null() => *into = from,
        _ => {}
    }
}

/// The state of a pod's first container.
pub(super) fn state(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]
}

/// Whether a pod's condition is True.
pub(super) fn is(pod: &Value, condition: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|one| one["type"] == condition && one["status"] == "True")
}

pub(super) fn contains(text: &(impl Debug + ?Sized), part: &str) {
    let text = format!("{text:?}");
    assert!(text.contains(part), "{part:?} is not in {text}");
}
