//! A cluster of its own for one test: served from this process, with pods on the real Docker Engine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use localkube::{kubelet, serve};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster; everything it made goes when it is dropped, however the test ended.
pub(crate) struct Cluster {
    pub(crate) directory: PathBuf,
    serving: Option<Serving>,
}

/// What serves it: as much as a process of its own would be.
struct Serving {
    runtime: Runtime,
    stop: CancellationToken,
    task: JoinHandle<Result<(), serve::Error>>,
}

impl Cluster {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("cluster-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        let mut cluster = Self { directory, serving: None };
        cluster.serve();
        cluster
    }

    fn serve(&mut self) {
        let runtime = runtime();
        let stop = CancellationToken::new();
        let options = serve::Options { directory: self.directory.clone(), ..Default::default() };
        let task = runtime.spawn(serve::serve(options, stop.clone().cancelled_owned()));
        let serving = self.serving.insert(Serving { runtime, stop, task });
        let deadline = Instant::now() + PATIENCE;
        while !self.directory.join("process.json").exists() {
            assert!(Instant::now() < deadline && !serving.task.is_finished(), "the cluster does not start");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Ends every task where it stands, as SIGKILL does.
    pub(crate) fn kill(&mut self) {
        let Some(serving) = self.serving.take() else { return };
        outside(move || serving.runtime.shutdown_timeout(PATIENCE));
    }

    /// The same, and starts again on the same directory.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        fs::remove_file(self.directory.join("process.json")).expect("a killed process leaves its announcement");
        self.serve();
    }

    /// What tells its containers from others'. It is kept after the end.
    pub(crate) fn id(&self) -> Option<String> {
        let kept = fs::read(self.directory.join("cluster.json")).ok()?;
        let kept: serde_json::Value = serde_json::from_slice(&kept).ok()?;
        Some(kept["id"].as_str()?.to_owned())
    }

    /// What the engine has of this cluster.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let directory = fs::canonicalize(&self.directory).expect("the directory is there");
        let filter = format!("label=dev.slipway.directory={}", directory.display());
        let things: [&[&str]; 4] =
            [&["ps", "-aq", "--no-trunc"], &["volume", "ls", "-q"], &["network", "ls", "-q"], &["images", "-q"]];
        let list = |thing: &[&str]| {
            let output = Command::new("docker").args(thing).args(["--filter", &filter]).output().expect("run docker");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        things.into_iter().flat_map(list).collect()
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

    /// Writes a file for kubectl and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).expect("write the file");
        path.to_str().expect("the path is UTF-8").to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let serving = self.serving.take();
        let (id, directory) = (self.id(), self.directory.clone());
        let (ended, removed) = outside(move || {
            let ended = serving.map(|serving| {
                serving.stop.cancel();
                let ended = serving.runtime.block_on(async { tokio::time::timeout(PATIENCE, serving.task).await });
                serving.runtime.shutdown_timeout(PATIENCE);
                ended
            });
            let removed = runtime().block_on(async {
                let docker = kubelet::Docker::connect_with_local_defaults()?.negotiate_version().await?;
                kubelet::remove_all(&docker, id.as_deref(), &directory, None).await
            });
            (ended, removed)
        });
        let left = if std::thread::panicking() { Vec::new() } else { self.leftovers() };
        let _ = fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            if let Some(ended) = ended {
                let ended = ended.expect("the cluster ends in time").expect("the cluster ends without a panic");
                ended.expect("the cluster serves until it is stopped");
            }
            removed.expect("Docker removes what the cluster made");
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

/// Runtimes may be neither ended nor entered from inside of one, where asynchronous tests are.
fn outside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(work).join().expect("it does not panic")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}
