//! Ports of pods, forwarded by kubectl and by kube-rs.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::cluster::{Cluster, contains, is};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `kubectl port-forward`.
struct Forward {
    child: Child,
    port: u16,
}

impl Forward {
    fn start(cluster: &Cluster, pod: &str, port: u16, environment: &[(&str, &str)]) -> Self {
        let mut command: Command = cluster.kubectl_command(&["port-forward", pod, &format!(":{port}")]);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("run kubectl");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("it is a pipe")).read_line(&mut line).expect("kubectl speaks");
        let port =
            line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(port) = port else { panic!("kubectl says {line:?}, {:?}", child.wait_with_output()) };
        Self { child, port }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.expect("kubectl listens")
    }

    /// Ends it; what it complained of.
    fn complaints(mut self) -> String {
        let _ = self.child.kill();
        let stderr = self.child.stderr.take().expect("it is a pipe");
        std::io::read_to_string(stderr).expect("kubectl writes text")
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that are not the same twice.
fn noise(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Sends and reads at once, then half-closes and reads the rest.
async fn echo(stream: impl AsyncReadExt + AsyncWriteExt, sent: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let send = async {
        writer.write_all(sent).await.expect("it is sent");
        writer.shutdown().await.expect("it half-closes");
    };
    let mut got = Vec::new();
    let receive = async {
        reader.read_to_end(&mut got).await.expect("it is received");
    };
    timeout(PATIENCE, async { tokio::join!(send, receive) }).await.expect("all comes back in time");
    got
}

async fn exchanges(forward: &Forward, counter: &Forward) {
    // A big one beside many small ones.
    let big = noise(1, 24 << 20);
    let small = join_all((2..42).map(async |seed| {
        let bytes = noise(seed, 20_000);
        assert!(echo(forward.connect().await, &bytes).await == bytes, "connection {seed} got other bytes");
    }));
    let all = async { assert!(echo(forward.connect().await, &big).await == big, "the big one got other bytes") };
    tokio::join!(small, all);
    // The answer comes only after the half-close.
    assert_eq!(echo(counter.connect().await, &big).await, b"25165824");
    assert_eq!(echo(counter.connect().await, b"").await, b"0");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_ports() {
    let cluster = Cluster::start().await;
    cluster.run("echo", &["/test", "echo"], Value::Null, Value::Null).await;
    cluster.until("echo", "ready", |pod| is(pod, "Ready")).await;
    let (forward, counter) = (Forward::start(&cluster, "echo", 9000, &[]), Forward::start(&cluster, "echo", 9001, &[]));
    exchanges(&forward, &counter).await;
    assert_eq!(counter.complaints() + &forward.complaints(), "");

    // Without the tunnel kubectl speaks SPDY on the connection itself.
    let bare = [("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];
    let (forward, counter) =
        (Forward::start(&cluster, "echo", 9000, &bare), Forward::start(&cluster, "echo", 9001, &bare));
    exchanges(&forward, &counter).await;
    assert_eq!(counter.complaints() + &forward.complaints(), "");

    // What listens for the pod alone.
    let local = Forward::start(&cluster, "echo", 9002, &[]);
    let bytes = noise(3, 1_000_000);
    let echoes = join_all((0..4).map(async |_| echo(local.connect().await, &bytes).await == bytes)).await;
    assert_eq!((echoes, local.complaints()), (vec![true; 4], String::new()));

    // Nobody listens there.
    let closed = Forward::start(&cluster, "pod/echo", 9, &[]);
    assert_eq!(echo(closed.connect().await, b"").await, b"");
    let mut closed = closed;
    let status = closed.child.wait().expect("kubectl ends");
    assert!(!status.success());
    let complaints = closed.complaints();
    contains(&complaints, "error forwarding port 9 to pod echo");
    contains(&complaints, "connect: connection refused");
    contains(&complaints, "lost connection to pod");

    // A pod that has gone is not mistaken for the one that has its address now.
    let forward = Forward::start(&cluster, "echo", 9000, &[]);
    cluster.says(&["delete", "pod", "echo"]);
    assert_eq!(echo(forward.connect().await, b"").await, b"");
    contains(&forward.complaints(), "the pod is not running");
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_forwards_ports() {
    let cluster = Cluster::start().await;
    cluster.run("echo", &["/test", "echo"], Value::Null, Value::Null).await;
    cluster.until("echo", "ready", |pod| is(pod, "Ready")).await;
    let pods = cluster.pods();
    let many = join_all((1..20).map(async |seed| {
        let mut forwarder = pods.portforward("echo", &[9001, 9000]).await.expect("the ports are forwarded");
        let mut stream = forwarder.take_stream(9000).expect("it is one of them");
        let bytes = noise(seed, 300_000);
        let (mut got, mut reader) = (vec![0; bytes.len()], &mut stream);
        // This protocol has no half-close; so the echo is read by its length.
        let (mut from, mut to) = tokio::io::split(&mut reader);
        let both = async { tokio::try_join!(to.write_all(&bytes), from.read_exact(&mut got)) };
        timeout(PATIENCE, both).await.expect("in time").expect("it comes back");
        assert!(got == bytes, "connection {seed} got other bytes");
        drop(stream);
        forwarder.abort();
    }));
    many.await;

    // The pod's end of a connection is the stream's.
    cluster.run("web", &["/test", "serve", "hello"], Value::Null, Value::Null).await;
    cluster.until("web", "ready", |pod| is(pod, "Ready")).await;
    let mut forwarder = pods.portforward("web", &[8080]).await.expect("the port is forwarded");
    let mut stream = forwarder.take_stream(8080).expect("it is one of them");
    stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.expect("it is sent");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("it is text");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    forwarder.abort();

    let mut forwarder = pods.portforward("echo", &[9]).await.expect("the connection stands");
    let error = forwarder.take_error(9).expect("it is a port");
    let said = timeout(PATIENCE, error).await.expect("in time").expect("there is a message");
    contains(&said, "connect: connection refused");

    cluster
        .run("waiting", &["/test", "echo"], json!({"spec": {"schedulerName": "nobody", "nodeName": ""}}), Value::Null)
        .await;
    let failed = pods.portforward("waiting", &[9000]).await.err().expect("it has no address");
    contains(&failed, "400");
    let said = cluster.refuses(&["port-forward", "waiting", ":9000"]);
    contains(&said, "unable to forward port because pod is not running. Current status=Pending");
    let said = cluster.refuses(&["port-forward", "nobody", ":9000"]);
    contains(&said, "pods \\\"nobody\\\" not found");
}
