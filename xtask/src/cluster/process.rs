//! The background process of the local environment, seen from outside.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::Deserialize;

use crate::error::{Error, Result};

/// What the process writes to `process.json` when it is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The process.
    pub(super) pid: u32,
    /// `https://127.0.0.1:PORT`
    pub(super) api: String,
    /// `127.0.0.1:PORT`
    pub(super) registry: String,
}

/// Whether a process serves the directory.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody holds the lock.
    Stopped,
    /// Somebody holds it, this process where the system tells, and has not said that it is ready.
    Starting(Option<u32>),
    /// Somebody holds it and has said where it listens.
    Ready(Record),
}

/// Looks at the lock first: only its holder's `process.json` means anything.
pub(super) fn state(directory: &Path) -> Result<State> {
    let lock = directory.join("lock");
    if !is_locked(&lock)? {
        return Ok(State::Stopped);
    }
    let holder = match holder(&lock) {
        // It may have ended between the two looks. Then nobody vouches for what it left, which may name a stranger.
        None if !is_locked(&lock)? => return Ok(State::Stopped),
        holder => holder,
    };
    let theirs = |record: &Record| holder.is_none_or(|holder| holder == record.pid);
    Ok(record(directory).filter(theirs).map_or(State::Starting(holder), State::Ready))
}

/// The process that holds a lock file, where /proc/locks tells (proc(5)).
fn holder(lock: &Path) -> Option<u32> {
    let inode = fs::metadata(lock).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // 1: FLOCK  ADVISORY  WRITE 16305 fe:00:1234 0 EOF
    locks.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let held = *columns.get(1)? == "FLOCK" && columns.get(5)?.rsplit(':').next()? == inode;
        held.then(|| columns.get(4)?.parse().ok()).flatten()
    })
}

/// What a living process says about itself. A half-written file, or one that a killed process left, says nothing.
pub(super) fn record(directory: &Path) -> Option<Record> {
    let bytes = fs::read(directory.join("process.json")).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|record: &Record| is_alive(record.pid))
}

/// Whether another process holds a lock file.
fn is_locked(file: &Path) -> Result<bool> {
    let failed = |error: &io::Error| Error::failed(format!("look at {}", file.display())).source(error);
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(&error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn is_alive(process: u32) -> bool {
    pid(process).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Asks a process to end, or ends it. The caller has seen it hold the directory's lock.
pub(super) fn signal(process: u32, signal: Signal) -> Result<()> {
    let Some(pid) = pid(process) else { return Ok(()) };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Error::failed(format!("end process {process}")).source(&error)),
    }
}

/// Starts this very program as the directory's process, in a process group of its own: it outlives the command that
/// started it, and Ctrl-C in the terminal does not reach it.
pub(super) fn spawn(directory: &Path) -> Result<Child> {
    let doing = || Error::failed("start the local environment's process");
    let log = log_file(directory).map_err(|error| doing().source(&error))?;
    let errors = log.try_clone().map_err(|error| doing().source(&error))?;
    Command::new(executable()?)
        .args([OsStr::new("local"), OsStr::new("serve"), OsStr::new("--directory"), directory.as_os_str()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| doing().source(&error))
}

/// The log begins anew when it has grown large; one generation is kept.
fn log_file(directory: &Path) -> io::Result<File> {
    const LARGE: u64 = 10 << 20;
    let path = directory.join("serve.log");
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LARGE) {
        fs::rename(&path, directory.join("serve.log.1"))?;
    }
    File::options().create(true).append(true).open(path)
}

fn executable() -> Result<PathBuf> {
    // After a rebuild under a running command the kernel reports the old file as deleted; the new one is in its place.
    let path = std::env::current_exe().map_err(|error| Error::failed("find this program's own file").source(&error))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// What tells one build of this program from another, without reading it through.
pub(super) fn build() -> Result<String> {
    let path = executable()?;
    let metadata =
        fs::metadata(&path).map_err(|error| Error::failed(format!("look at {}", path.display())).source(&error))?;
    Ok(format!("{} {} {}.{:09}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The last lines of the process's log since it was that long.
pub(super) fn log_tail(directory: &Path, from: u64) -> Vec<String> {
    const LINES: usize = 20;
    let mut text = String::new();
    let read = File::open(directory.join("serve.log")).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_string(&mut text)
    });
    if read.is_err() {
        return Vec::new();
    }
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}
