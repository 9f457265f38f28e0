//! Processes in containers: `kubectl exec`, `kubectl attach` and the same of kube-rs.

use std::{
    io::Write,
    process::{Output, Stdio},
    time::Duration,
};

use futures::SinkExt;
use kube::api::{AttachParams, TerminalSize};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, time::timeout};

use super::cluster::{Cluster, contains, is};
use crate::busybox::Image;

const PATIENCE: Duration = Duration::from_secs(60);

/// A pod with a shell.
async fn shell(cluster: &Cluster, image: &Image, name: &str, command: &[&str], more: Value) {
    let mut container = json!({"image": image.name});
    container.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    cluster.run(name, command, Value::Null, container).await;
    cluster.until(name, "ready", |pod| is(pod, "Ready")).await;
}

/// kubectl with something to read.
fn kubectl(cluster: &Cluster, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = cluster.kubectl_command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run kubectl");
    let (mut stdin, input) = (child.stdin.take().expect("it is a pipe"), input.to_vec());
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("kubectl ends");
    let _ = writing.join().expect("writing does not panic");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_executes_commands() {
    let image = Image::new("exec");
    let cluster = Cluster::start().await;
    shell(&cluster, &image, "box", &["/bin/sleep", "3600"], Value::Null).await;

    let output = kubectl(&cluster, &["exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], b"");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n".to_owned(), "err\ncommand terminated with exit code 7\n".to_owned())
    );
    assert_eq!(cluster.says(&["exec", "box", "--", "echo", "two words", ""]), "two words \n");

    // All of the input arrives, its end too, and all of the output.
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let output = kubectl(&cluster, &["exec", "-i", "box", "--", "cat"], &big);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == big, "{} bytes of {} came back", output.stdout.len(), big.len());
    let output = kubectl(&cluster, &["exec", "-i", "box", "--", "wc", "-c"], b"12345");
    assert_eq!(text(&output.stdout), "5\n");

    let said = cluster.refuses(&["exec", "box", "--", "nothing-of-this-name"]);
    contains(&said, "error executing command in container: failed to exec in container: failed to start exec");
    contains(&said, "executable file not found");
    let said = cluster.refuses(&["exec", "box", "-c", "other", "--", "true"]);
    contains(&said, "container other is not valid for pod box");
    let said = cluster.refuses(&["exec", "nobody", "--", "true"]);
    contains(&said, "pods \\\"nobody\\\" not found");

    // kubectl cp is an exec of tar.
    let file = cluster.file("sent", "from the host\n");
    cluster.says(&["cp", &file, "box:/got"]);
    assert_eq!(cluster.says(&["exec", "box", "--", "cat", "/got"]), "from the host\n");

    cluster.run("ended", &["/test", "say", "bye"], json!({"spec": {"restartPolicy": "Never"}}), Value::Null).await;
    cluster.until("ended", "over", |pod| pod["status"]["phase"] == "Succeeded").await;
    let said = cluster.refuses(&["exec", "ended", "--", "true"]);
    contains(&said, "cannot exec into a container in a completed pod; current phase is Succeeded");
    let failed = cluster.pods().exec("ended", ["true"], &AttachParams::default()).await.err();
    contains(&failed.expect("there is no container"), "500");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_have_a_size() {
    let image = Image::new("terminal");
    let cluster = Cluster::start().await;
    shell(&cluster, &image, "box", &["/bin/sleep", "3600"], Value::Null).await;
    let script = "read line; stty size; echo got $line; exit 3";
    let parameters = AttachParams { stdin: true, stdout: true, stderr: false, tty: true, ..Default::default() };
    let mut process = cluster.pods().exec("box", ["sh", "-c", script], &parameters).await.expect("it starts");
    let mut size = process.terminal_size().expect("it has a terminal");
    size.send(TerminalSize { width: 123, height: 45 }).await.expect("it is sent");
    // The engine takes the size when it has started the process.
    tokio::time::sleep(Duration::from_millis(500)).await;
    size.send(TerminalSize { width: 123, height: 45 }).await.expect("it is sent");
    let mut stdin = process.stdin().expect("it reads");
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"this\n").await.expect("it is sent");
    let mut shown = String::new();
    let mut stdout = process.stdout().expect("it writes");
    timeout(PATIENCE, stdout.read_to_string(&mut shown)).await.expect("in time").expect("it is text");
    assert_eq!(shown, "this\r\n45 123\r\ngot this\r\n");
    let status = process.take_status().expect("it is taken once").await.expect("there is one");
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    contains(&status.details, "\"3\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_attaches() {
    let image = Image::new("attach");
    let cluster = Cluster::start().await;
    let more = json!({"stdin": true, "stdinOnce": true});
    shell(&cluster, &image, "cat", &["/bin/cat"], more).await;
    let output = kubectl(&cluster, &["attach", "-i", "cat"], b"to the first process\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "to the first process\n");
    // It read to the end and ended.
    cluster.until("cat", "restarted", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
}
