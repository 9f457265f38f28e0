//! What a real API server answered, asked of ours.

use std::{collections::BTreeSet, path::PathBuf};

use crate::serve::{Directory, Server};

/// Steps that are known to differ, each with its reason. One that agrees must leave the list.
const DIFFERENT: &[(&str, &str)] = &[(
    "server-side-apply/replicas-zero-settles",
    "waits for the status that the Deployment controller writes, and this server runs without controllers, so that the \
     other steps do not depend on who is faster",
)];

async fn replay(suite: &str) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let output = tokio::process::Command::new("python3")
        .arg(golden.join("replay.py"))
        .arg("check")
        .arg(golden.join(format!("recordings/{suite}.jsonl")))
        .arg("--kubeconfig")
        .arg(directory.0.join("kubeconfig"))
        .args(["--deadline", "3"])
        .output()
        .await
        .expect("python3 (3.11 or newer) runs the replays");
    server.stop().await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let steps = |word: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines.map(|rest| rest.split_whitespace().next().unwrap_or_default()).collect()
    };
    let (same, different) = (steps("ok "), steps("DIFF "));
    assert!(!same.is_empty(), "nothing was replayed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    let known: BTreeSet<&str> =
        DIFFERENT.iter().map(|(step, _)| *step).filter(|step| step.split('/').next() == Some(suite)).collect();
    let unknown: Vec<_> = different.difference(&known).collect();
    assert!(unknown.is_empty(), "these steps differ: {unknown:?}\n{text}");
    let agreeing: Vec<_> = known.difference(&different).collect();
    assert!(agreeing.is_empty(), "these steps agree now, take them off the list: {agreeing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_changing_and_every_common_error() {
    replay("crud-errors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply() {
    replay("server-side-apply").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches() {
    replay("patches").await;
}
