//! A cluster of its own for one test: served from this process, with pods on the real Docker Engine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use localkube::{kubelet, serve};
use tokio_util::sync::CancellationToken;

/// A running cluster; everything it made goes when it is dropped.
pub(crate) struct Cluster {
    pub(crate) directory: PathBuf,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("cluster-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        let stop = CancellationToken::new();
        let options = serve::Options { directory: directory.clone(), ..Default::default() };
        let stopped = stop.clone();
        let serving = std::thread::spawn(move || {
            let serving = serve::serve(options, stopped.cancelled_owned());
            runtime().block_on(serving).expect("the cluster serves until it is stopped");
        });
        let cluster = Self { directory, stop, serving: Some(serving) };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !cluster.directory.join("process.json").exists() {
            assert!(Instant::now() < deadline, "the cluster does not start");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        cluster
    }

    /// What kubectl answers to these arguments.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut command = self.kubectl_command(arguments);
        command.output().expect("run kubectl")
    }

    /// The same, ready to run.
    pub(crate) fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/kubectl");
        assert!(program.is_file(), "{} is not there: `cargo xtask test` installs it", program.display());
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.directory.join("kubeconfig")).env("HOME", &self.directory).args(arguments);
        command
    }

    /// What kubectl prints when all is well.
    #[track_caller]
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {arguments:?}: {stdout}{stderr}");
        stdout.into_owned()
    }

    /// What kubectl complains about when it fails.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        assert!(!output.status.success(), "kubectl {arguments:?} works: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn id(&self) -> Option<String> {
        let process = fs::read(self.directory.join("process.json")).ok()?;
        let process: serde_json::Value = serde_json::from_slice(&process).ok()?;
        Some(process["clusterId"].as_str()?.to_owned())
    }

    /// Writes a file for kubectl and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).expect("write the file");
        path.to_str().expect("the path is UTF-8").to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.serving.take().map(JoinHandle::join);
        let removed = runtime().block_on(async {
            let docker = bollard::Docker::connect_with_local_defaults()?.negotiate_version().await?;
            kubelet::remove_all(&docker, self.id().as_deref(), &self.directory, None).await
        });
        let _ = fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            ended.expect("it was started").expect("the cluster ended without a panic");
            removed.expect("Docker removes what the cluster made");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}
