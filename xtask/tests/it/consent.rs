//! What somebody sees and types on a terminal: the question before a change, and lines that end at its edge.

use std::{path::Path, process::Command};

use crate::{command::Run, releases::Ground};

const PROMPT: &str = "Type local to apply it:";

impl Ground {
    /// Runs the binary on a terminal; once the text is there, the answer is typed.
    fn on_terminal(&self, columns: u16, prompt: &str, answer: &str, arguments: &[&str]) -> Run {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binary = self.local.repository.command(arguments);
        let mut command = Command::new(tests.join("../target/venv/bin/python"));
        command.arg(tests.join("tests/it/terminal.py")).args([&columns.to_string(), prompt, answer]);
        command.arg(binary.get_program()).args(arguments).current_dir(&self.local.repository.root);
        for variable in ["KUBECONFIG", "GITHUB_ACTIONS", "COLUMNS"] {
            command.env_remove(variable);
        }
        Run::of(command.env("TERM", "xterm").env("NO_COLOR", "1"))
    }

    /// Answers the question of a deploy.
    fn answered(&self, answer: &str) -> Run {
        self.on_terminal(120, PROMPT, answer, &["deploy", "--image", &self.image])
    }

    /// Whether anybody holds the lock.
    async fn is_locked(&self) -> bool {
        let leases = self.leases().list(&kube::api::ListParams::default()).await.expect("the server answers");
        leases.items.iter().any(|lease| lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.is_some()))
    }
}

#[tokio::test]
async fn only_who_types_the_name_agrees() {
    let ground = Ground::new().await;
    let configuration = ground.local.repository.read("infra-config/local.yaml");
    ground
        .local
        .repository
        .write("infra-config/local.yaml", &format!("{configuration}release: {{consent: required}}\n"));

    // Nobody is there to be asked.
    let run = ground.deploy();
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("local is changed only with consent"), "{}", run.stderr);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);

    for (answer, code) in [(r"y\n", 1), (r"n\n", 1), (r"locale\n", 1), (r"\n", 1), (r"\x04", 1), (r"\x03", 130)] {
        let run = ground.answered(answer);
        assert_eq!(run.code, Some(code), "{answer:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("app in local: 8 created, 0 changed, 0 deleted"), "{answer:?}: {}", run.stdout);
        let said = if code == 130 { "error: interrupted" } else { "nobody agreed to change app in local" };
        assert!(run.stdout.contains(said), "{answer:?}: {}", run.stdout);
        assert!(!run.stdout.contains(" apply      "), "{answer:?}: {}", run.stdout);
        assert_eq!(ground.history().len(), 0, "{answer:?}: something was recorded");
        assert!(!ground.is_locked().await, "{answer:?}: the lock is still held");
    }

    let run = ground.answered(r" local \n");
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("released 1 in "), "{}", run.stdout);

    // Nothing changes, so nobody is asked; and who agreed to a deploy agreed to what follows when it fails.
    ground.deploys();
    let agreed = ["deploy", "--yes", "--image", &ground.image];
    ground.change("crash");
    let run = ground.local.repository.run(&agreed);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    ground.change("server");
    let run = ground.local.repository.run(&agreed);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    lines_end_at_the_edge(&ground);

    let run = ground.on_terminal(120, PROMPT, r"n\n", &["rollback"]);
    assert_eq!((run.code, ground.mode().await.as_str()), (Some(1), "server"), "{}{}", run.stdout, run.stderr);
    let run = ground.on_terminal(120, PROMPT, r"local\n", &["rollback"]);
    assert_eq!((run.code, ground.mode().await.as_str()), (Some(0), "serve"), "{}{}", run.stdout, run.stderr);
    assert_eq!(ground.history().len(), 5);
}

/// On a terminal a line of a plan ends at its edge, in a pipe it is whole.
fn lines_end_at_the_edge(ground: &Ground) {
    ground.change("a-value-that-is-longer-than-the-terminal-is-wide");
    let arguments = ["plan", "--image", &ground.image];
    let whole = ground.local.repository.run(&arguments).stdout;
    assert!(whole.lines().any(|line| line.chars().count() > 60) && !whole.contains('…'), "{whole}");
    let shown = ground.on_terminal(60, "", "", &arguments).stdout;
    let cut: Vec<&str> = shown.lines().filter(|line| line.ends_with('…')).collect();
    assert!(!cut.is_empty(), "{shown}");
    for line in cut {
        assert_eq!(line.chars().count(), 60, "{shown}");
        assert!(whole.contains(line.trim_end_matches('…')), "{shown}");
    }
}
