//! What the status of one container means, if it means that it will not run.

use serde_json::Value;

use super::{cause::Cause, readiness::number};

/// How many times a container may end before its pod counts as lost.
const CRASHES: u64 = 3;

/// What becomes of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) cause: Cause,
    /// `exits with code 78, 3 times (CrashLoopBackOff)`
    pub(super) what: String,
    pub(super) reason: Option<String>,
    pub(super) exit: Option<u64>,
}

impl Fate {
    fn new(cause: Cause, reason: &str, what: impl Into<String>) -> Self {
        let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        Self { cause, what: what.into(), reason, exit: None }
    }
}

/// Judges a container that may be tried again `tries` times; nothing if it may still come right.
pub(super) fn of(status: &Value, tries: Option<u64>) -> Option<Fate> {
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let message = waiting["message"].as_str().unwrap_or_default();
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    let ended = ended(status);
    // What started later is judged by how it does.
    let idle = status["state"].get("running").is_none();
    if let Some(ended) = ended.filter(|ended| idle && is_start_failure(ended)) {
        let fate = not_started(ended);
        // A command that is not there will not be there the next time; what else keeps the runtime may pass.
        let again = number(&status["restartCount"]) + 1 < tries.unwrap_or(CRASHES).min(CRASHES);
        return (fate.cause == Cause::WrongCommand || !again).then_some(fate);
    }
    match reason {
        "ImagePullBackOff"
        | "ErrImagePull"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => {
            let cause = Cause::of_pull(reason, message);
            // The first failure may be the network's; the back-off says that it failed again.
            if matches!(reason, "ErrImagePull" | "RegistryUnavailable") && cause == Cause::ImagePull {
                return None;
            }
            let image = status["image"].as_str().unwrap_or_default();
            return Some(Fate::new(cause, reason, format!("cannot pull {image} ({reason}){said}")));
        }
        "CreateContainerConfigError" => {
            let missing = !message.contains("runAsNonRoot");
            let cause = if missing { Cause::MissingConfiguration } else { Cause::Start };
            return Some(Fate::new(cause, reason, format!("cannot be created ({reason}){said}")));
        }
        "CreateContainerError" | "RunContainerError" | "PreCreateHookError" | "PostStartHookError" => {
            let cause = if is_command(message) { Cause::WrongCommand } else { Cause::Start };
            return Some(Fate::new(cause, reason, format!("cannot be started ({reason}){said}")));
        }
        _ => {}
    }
    crashed(status, ended?, reason, tries)
}

/// How the container's last run ended, if one has.
fn ended(status: &Value) -> Option<&Value> {
    ["state", "lastState"].into_iter().map(|field| &status[field]["terminated"]).find(|ended| ended.is_object())
}

fn crashed(status: &Value, ended: &Value, reason: &str, tries: Option<u64>) -> Option<Fate> {
    let running = status["state"].get("running").is_some();
    let over = !running && status["state"].get("terminated").is_some();
    let backoff = reason == "CrashLoopBackOff";
    // The count goes up when the container is started again.
    let crashes = number(&status["restartCount"]) + u64::from(over || backoff);
    if ended["exitCode"] == 0 && over || crashes < tries.unwrap_or(CRASHES) || (running && status["ready"] == true) {
        return None;
    }
    let times = if crashes == 1 { String::new() } else { format!(", {crashes} times") };
    let mut fate = if ended["reason"] == "OOMKilled" {
        Fate::new(Cause::OutOfMemory, "OOMKilled", format!("runs out of memory{times} (OOMKilled)"))
    } else {
        let cause =
            if matches!(ended["exitCode"].as_u64(), Some(126 | 127)) { Cause::WrongCommand } else { Cause::CrashLoop };
        // Between the crash and the back-off the reason is another one for a moment; this is the word people know.
        let looping = backoff || number(&status["restartCount"]) > 0;
        let word = if looping { "CrashLoopBackOff" } else { ended["reason"].as_str().unwrap_or_default() };
        let shown = if looping { " (CrashLoopBackOff)" } else { "" };
        Fate::new(cause, word, format!("{}{times}{shown}", exit(ended)))
    };
    fate.exit = ended["exitCode"].as_u64();
    Some(fate)
}

/// The runtime could not start the process. Which word it uses depends on the runtime; the kubelet passes it on.
fn is_start_failure(ended: &Value) -> bool {
    matches!(ended["reason"].as_str(), Some("StartError" | "ContainerCannotRun"))
}

fn not_started(ended: &Value) -> Fate {
    let (reason, message) = (&ended["reason"], ended["message"].as_str().unwrap_or_default());
    let reason = reason.as_str().unwrap_or_default();
    let exit = ended["exitCode"].as_u64();
    let command = matches!(exit, Some(126 | 127)) || is_command(message);
    let cause = if command { Cause::WrongCommand } else { Cause::Start };
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    Fate { exit, ..Fate::new(cause, reason, format!("cannot be started ({reason}){said}")) }
}

/// What execve(2) says, in the words of Go's os/exec and of the C library, which all runtimes pass on.
fn is_command(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["executable file not found", "exec format error", "no such file or directory", "no command specified"]
        .iter()
        .any(|word| message.contains(word))
        || message.contains("exec") && message.contains("permission denied")
}

/// `exits with code 78`
pub(super) fn exit(ended: &Value) -> String {
    match (ended["signal"].as_u64().filter(|signal| *signal > 0), ended["exitCode"].as_u64()) {
        (Some(signal), _) => format!("is killed by signal {signal}"),
        (None, Some(code)) if code > 128 => format!("exits with code {code} (signal {})", code - 128),
        (None, Some(code)) => format!("exits with code {code}"),
        (None, None) => "ends".to_owned(),
    }
}

/// What there is to say about a container that is not ready when the time is over, whatever it is.
pub(super) fn at_the_end(status: &Value) -> Fate {
    if let Some(fate) = of(status, Some(1)) {
        return fate;
    }
    let waiting = status["state"]["waiting"]["reason"].as_str();
    match (waiting, &status["state"]["terminated"]) {
        (Some(reason), _) => Fate::new(Cause::Other, reason, format!("waits ({reason})")),
        (None, ended) if ended.is_object() => {
            let reason = ended["reason"].as_str().unwrap_or_default();
            Fate { exit: ended["exitCode"].as_u64(), ..Fate::new(Cause::CrashLoop, reason, exit(ended)) }
        }
        _ => Fate::new(Cause::Unready, "", "runs but is not ready"),
    }
}
