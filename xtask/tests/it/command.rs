//! Runs the binary in a copy of a repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A repository of its own for one test; removed at the end.
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
}

/// What a run of the binary left.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Repository {
    /// An empty repository with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{unique}"));
        fs::create_dir_all(root.join("infra-config")).expect("create the repository");
        let repository = Self { root };
        for (path, text) in files {
            repository.write(path, text);
        }
        repository
    }

    /// This repository's configuration and manifests, with a commit of their own.
    pub(crate) fn of_the_workspace() -> Self {
        let repository = Self::new(&[]);
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        for directory in ["infra-config", "manifests"] {
            copy(&workspace.join(directory), &repository.root.join(directory));
        }
        repository.commit();
        repository
    }

    /// All that this repository has under version control, or will have, with a commit of its own. What the service is
    /// compiled to is shared by all such clones.
    pub(crate) fn clone_of_the_workspace() -> Self {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let repository = Self::new(&[]);
        let files = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&ours)
            .output()
            .expect("list the repository's files");
        for file in String::from_utf8(files.stdout).expect("paths are UTF-8").split_terminator('\0') {
            let (from, to) = (ours.join(file), repository.root.join(file));
            if from.is_file() {
                fs::create_dir_all(to.parent().expect("a file lies in a directory")).expect("create a directory");
                fs::copy(&from, &to).expect("copy a file");
            }
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clones-target");
        fs::create_dir_all(&target).expect("create a directory");
        std::os::unix::fs::symlink(target, repository.root.join("target")).expect("link the directory");
        repository.commit();
        repository
    }

    /// All that is there in a first commit.
    pub(crate) fn commit(&self) {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A commit"]);
    }

    /// Runs git here, as nobody in particular.
    pub(crate) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        let status = Command::new("git").args(identity).args(arguments).current_dir(&self.root).status();
        assert!(status.expect("run git").success(), "git {arguments:?}");
    }

    /// Reads a file.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).expect("read the file")
    }

    /// Writes a file and the directories above it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("create the directory");
        fs::write(path, text).expect("write the file");
    }

    /// The binary, ready to run here with these arguments and a clean environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(&self.root);
        for variable in ["DOCKER_HOST", "KUBECONFIG", "NO_COLOR", "GITHUB_ACTIONS"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the binary with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }
}

/// Removes the images that are named so, whatever their tag; `*` stands for a part of a name.
pub(crate) fn remove_images(references: &[&str]) {
    let mut list = Command::new("docker");
    list.args(["images", "--quiet"]);
    for reference in references {
        list.arg("--filter").arg(format!("reference={reference}"));
    }
    let images = list.output().expect("run docker").stdout;
    for image in String::from_utf8(images).expect("ids are ASCII").lines() {
        // Two names of one image are two lines.
        let _ = Command::new("docker").args(["rmi", "--force", image]).output();
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // What a failed test leaves lies below target/ and is overwritten by nobody.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Run {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("run the binary");
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Asserts the exit code and all of stderr, whose seconds are 0.0s, and that nothing went to stdout.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, stderr: &str) {
        assert_eq!((self.code, untimed(&self.stderr).as_str(), self.stdout.as_str()), (Some(code), stderr, ""));
    }
}

/// Replaces the seconds at the end of each row of the recap.
fn untimed(text: &str) -> String {
    let row = |line: &str| match line.rsplit_once(' ') {
        Some((rest, last))
            if line.starts_with(' ') && last.strip_suffix('s').is_some_and(|s| s.parse::<f64>().is_ok()) =>
        {
            format!("{rest} 0.0s\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(row).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create the directory");
    for entry in fs::read_dir(from).expect("list the directory") {
        let path = entry.expect("read the entry").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copy the file");
        }
    }
}
