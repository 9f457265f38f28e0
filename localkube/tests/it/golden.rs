//! What a real API server answered, asked of ours.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    busybox::Image,
    cluster::Cluster,
    serve::{Directory, Server},
};

/// How long a suite may take.
const DEADLINE: Duration = Duration::from_secs(170);

/// Steps that are known to differ, each with its reason. One that agrees must leave the list.
const DIFFERENT: &[(&str, &str)] = &[(
    "server-side-apply/replicas-zero-settles",
    "waits for the status that the Deployment controller writes, and this server runs without controllers, so that the \
     other steps do not depend on who is faster",
)];

/// Against the API server alone, so that no other step depends on who is faster.
async fn replay_without_pods(suite: &str) {
    let directory = Directory::new();
    let server = Server::start(&directory.0).await;
    let output = replay(suite, &directory.0.join("kubeconfig"), "3").await;
    server.stop().await;
    judge(suite, &output);
}

/// Against all of a cluster, with the image that the recordings' pods run.
async fn replay_with_pods(suite: &str) {
    let _image = Image::recorded();
    let cluster = Cluster::start();
    let output = replay(suite, &cluster.directory.join("kubeconfig"), "60").await;
    judge(suite, &output);
}

/// `patience`: seconds that a step may wait for what it waits for.
async fn replay(suite: &str, kubeconfig: &Path, patience: &str) -> String {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let replay = tokio::process::Command::new("python3")
        .arg(golden.join("replay.py"))
        .arg("check")
        .arg(golden.join(format!("recordings/{suite}.jsonl")))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--deadline", patience])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, replay).await.expect("the replay ends in time");
    let output = output.expect("python3 (3.11 or newer) runs the replays");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[expect(clippy::disallowed_macros, reason = "a test says how much agrees")]
fn judge(suite: &str, text: &str) {
    let steps = |word: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines.map(|rest| rest.split_whitespace().next().unwrap_or_default()).collect()
    };
    let (same, different) = (steps("ok "), steps("DIFF "));
    println!("{suite}: {} of {} steps agree", same.len(), same.len() + different.len());
    let recording = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/recordings/{suite}.jsonl"));
    let recording = std::fs::read_to_string(recording).expect("the recording is there");
    let recorded = recording.lines().filter(|line| line.contains("\"step\":")).count();
    assert_eq!(same.len() + different.len(), recorded, "not everything was replayed:\n{text}");
    let known: BTreeSet<&str> =
        DIFFERENT.iter().map(|(step, _)| *step).filter(|step| step.split('/').next() == Some(suite)).collect();
    let unknown: Vec<_> = different.difference(&known).collect();
    assert!(unknown.is_empty(), "these steps differ: {unknown:?}\n{text}");
    let agreeing: Vec<_> = known.difference(&different).collect();
    assert!(agreeing.is_empty(), "these steps agree now, take them off the list: {agreeing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_changing_and_every_common_error() {
    replay_without_pods("crud-errors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply() {
    replay_without_pods("server-side-apply").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches() {
    replay_without_pods("patches").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments() {
    replay_with_pods("deployments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion() {
    replay_with_pods("deletion").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_access_and_tokens() {
    replay_with_pods("policy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_custom_resources() {
    replay_without_pods("discovery-and-crds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_watches() {
    replay_with_pods("lists-and-watches").await;
}
