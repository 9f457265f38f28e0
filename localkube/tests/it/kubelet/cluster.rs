//! A cluster whose pods run the test program, and what tests ask of it.

use std::{
    fmt::Debug,
    fs,
    ops::{Deref, DerefMut},
    path::Path,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client, Config,
    api::{ListParams, LogParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use localkube::kubelet::Docker;
use serde_json::Value;

use crate::{busybox::Image, cluster};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Cluster {
    inner: cluster::Cluster,
    pub(super) docker: Docker,
    pub(super) client: Client,
    pub(super) image: String,
    // Last: containers go before what they were made from.
    _image: Image,
}

impl Deref for Cluster {
    type Target = cluster::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl Cluster {
    pub(super) async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let image = Image::import(format!("localkube-test-{}-pods-{number}:1", std::process::id()), program());
        let docker = Docker::connect_with_local_defaults().unwrap().negotiate_version().await.unwrap();
        let inner = cluster::Cluster::start();
        // Address, authority and token are the same after a restart.
        let kubeconfig = Kubeconfig::read_from(inner.directory.join("kubeconfig")).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        Self { inner, docker, client, image: image.name.clone(), _image: image }
    }

    /// Removes everything as `local destroy` does, after the process was killed.
    pub(super) async fn remove(&mut self) -> localkube::kubelet::Removed {
        self.kill();
        localkube::kubelet::remove_all(&self.docker, self.id().as_deref(), &self.directory, None).await.unwrap()
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
}

/// The file system of the image: the test program and directories that it may write to.
fn program() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = directory.join(format!("program-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/program.rs");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let output = Command::new("rustc")
            .args(["--edition=2024", "-Ctarget-feature=+crt-static", "-Cstrip=symbols", "--target", &target, "-o"])
            .args([&program, &source])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_path_with_name(&program, "test").unwrap();
        for name in ["tmp", "scratch"] {
            archive.append_dir(name, directory).unwrap();
        }
        fs::remove_file(program).unwrap();
        archive.into_inner().unwrap()
    })
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
