//! Who does it: what a lock and a record say of the person and the process behind a command.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::config::variables;

/// A running command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Unlike that of every other run of a command.
    pub id: String,
    /// The GitHub actor, or git's user and `user@host`.
    pub who: String,
    /// `cargo xtask deploy --env NAME`
    pub command: String,
    /// The page of the workflow run, in a workflow.
    pub run: Option<String>,
    /// Where it runs; only a process beside it can tell from that whether it still does.
    process: Option<Process>,
}

/// A process, unlike every other of any machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    /// The machine since it was started, proc(5): random/boot_id.
    boot: String,
    /// The PID namespace, which containers have of their own: pid_namespaces(7).
    namespace: String,
    pid: u32,
    /// In clock ticks after the machine's start: a number that is used again belongs to another process.
    started: u64,
}

impl Holder {
    /// This process, running a command on the repository at `root`.
    pub async fn new(root: &Path, command: String) -> Self {
        let who = match variables::github_actor() {
            Some(actor) => actor,
            None => person(root).await,
        };
        let id = uuid::Uuid::new_v4().to_string();
        Self { id, who, command, run: variables::github_run(), process: Process::own() }
    }

    /// Whether it certainly does not run any more. Of a process on another machine nothing is certain.
    pub(super) fn is_dead(&self) -> bool {
        let Some((theirs, ours)) = self.process.as_ref().zip(Process::own()) else { return false };
        let beside = theirs.boot == ours.boot && theirs.namespace == ours.namespace;
        beside && started(theirs.pid) != Some(theirs.started)
    }
}

impl Process {
    fn own() -> Option<Self> {
        let pid = std::process::id();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned();
        Some(Self { boot, namespace, pid, started: started(pid)? })
    }
}

/// When a process was started, if it still runs. One that was killed and not yet waited for does not.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; behind it come the state and, as the 22nd of all, the start.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// `Jane Doe, jane@laptop`
async fn person(root: &Path) -> String {
    let mut git = Command::new("git");
    let asked = git.arg("-C").arg(root).args(["config", "user.name"]).kill_on_drop(true).output().await;
    let name = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let user = variables::user().or_else(account).unwrap_or_else(|| "somebody".into());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "some machine" } else { host.trim() };
    if name.is_empty() { format!("{user}@{host}") } else { format!("{name}, {user}@{host}") }
}

/// The name of the account that this process runs under: passwd(5).
fn account() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut names = fields.filter_map(|fields| (fields.get(2) == Some(&id.as_str())).then(|| fields[0].to_owned()));
    names.next()
}

#[cfg(test)]
impl Holder {
    /// One of which nothing is known but this.
    pub(super) fn example(id: &str) -> Self {
        let (who, command) = ("jane@laptop".to_owned(), "cargo xtask deploy --env local".to_owned());
        Self { id: id.to_owned(), who, command, run: None, process: None }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_beside_us_is_known_to_be_dead() {
        let mut sleeper = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep runs");
        let own = Process::own().expect("this is Linux");
        let started = started(sleeper.id()).expect("it runs");
        let process = Process { pid: sleeper.id(), started, ..own };
        let mut holder = Holder { process: Some(process.clone()), ..Holder::example("a") };
        assert!(!holder.is_dead());
        // The number is the same, the process is another one.
        holder.process = Some(Process { started: started - 1, ..process.clone() });
        assert!(holder.is_dead());
        // Of another machine, and of another container, nothing is certain.
        holder.process = Some(Process { boot: "another".into(), started: 1, ..process.clone() });
        assert!(!holder.is_dead());
        holder.process = Some(Process { namespace: "pid:[1]".into(), started: 1, ..process.clone() });
        assert!(!holder.is_dead());

        holder.process = Some(process);
        sleeper.kill().expect("it can be killed");
        // Before anybody has waited for it, too.
        while !holder.is_dead() {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        sleeper.wait().expect("it ended");
        assert!(holder.is_dead());
    }
}
