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
        for variable in ["DOCKER_HOST", "NO_COLOR", "GITHUB_ACTIONS"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the binary with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
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

    /// Asserts the exit code and all of stderr, and that nothing went to stdout.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, stderr: &str) {
        assert_eq!((self.code, self.stderr.as_str(), self.stdout.as_str()), (Some(code), stderr, ""));
    }
}
