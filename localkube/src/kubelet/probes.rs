//! Probes: asking a container whether it has started, is ready, is alive
//! (<https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>).

use std::time::Duration;

use bollard::{
    Docker,
    exec::{CreateExecOptions, StartExecResults},
};
use futures::StreamExt;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How much of an answer is shown.
const SHOWN: usize = 1024;
/// A container that doesn't listen yet is asked again soon: the difference between "ready" and "ready a period later".
/// Such early failures count once a period, like any other.
const EARLY: Duration = Duration::from_millis(40);

/// Where a container is reached.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) docker: Docker,
    pub(super) id: String,
    pub(super) ip: String,
    pub(super) container: Container,
}

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) message: String,
    /// Nothing listens.
    refused: bool,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, refused: false }
    }
}

/// What a probe's owner learns: the verdict after each change, and each failure as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// `successThreshold` times in a row.
    Passes,
    /// `failureThreshold` times in a row, with the last failure.
    Fails(Failure),
    /// One failure.
    Failed(Failure),
}

/// Probes until the callback says stop (false), beginning `initialDelaySeconds` after `since`.
pub(super) async fn run(probe: &Probe, target: &Target, since: Instant, mut tell: impl FnMut(Finding) -> bool) {
    let seconds = |value: Option<i32>, default: i32| {
        Duration::from_secs(u64::try_from(value.unwrap_or(default).max(0)).unwrap_or_default())
    };
    let period = seconds(probe.period_seconds, 10).max(Duration::from_secs(1));
    let limit = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    let success_threshold = probe.success_threshold.unwrap_or(1).max(1);
    let failure_threshold = probe.failure_threshold.unwrap_or(3).max(1);
    sleep_until(since + seconds(probe.initial_delay_seconds, 0)).await;
    let (mut passed, mut failed) = (0, 0);
    let mut next = Instant::now();
    // Until it has answered once, a container is starting.
    let mut early = true;
    loop {
        next += period;
        let result = loop {
            match once(probe, target, limit).await {
                Err(failure) if early && failure.refused && Instant::now() + EARLY < next => sleep(EARLY).await,
                result => break result,
            }
        };
        match result {
            Ok(()) => {
                (passed, failed, early) = (passed + 1, 0, false);
                if passed == success_threshold && !tell(Finding::Passes) {
                    return;
                }
            }
            Err(failure) => {
                (passed, failed) = (0, failed + 1);
                if !tell(Finding::Failed(failure.clone()))
                    || failed >= failure_threshold && !tell(Finding::Fails(failure))
                {
                    return;
                }
            }
        }
        // A probe that took longer than its period is not made up for.
        next = next.max(Instant::now());
        sleep_until(next).await;
    }
}

/// Asks once.
async fn once(probe: &Probe, target: &Target, limit: Duration) -> Result<(), Failure> {
    if let Some(action) = &probe.http_get {
        let (url, result) = http(action, target, limit).await;
        return match result {
            Ok(status) if (200..400).contains(&status) => Ok(()),
            Ok(status) => Err(format!("HTTP probe failed with statuscode: {status}").into()),
            Err(failure) => Err(Failure { message: format!("Get \"{url}\": {}", failure.message), ..failure }),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        return tcp(action, target, limit).await;
    }
    if let Some(action) = &probe.exec {
        return match exec(target, action, Some(limit)).await {
            Ok((0, _)) => Ok(()),
            Ok((_, output)) => Err(output.into()),
            Err(message) => Err(message.into()),
        };
    }
    if let Some(action) = &probe.grpc {
        // Without an HTTP/2 client all that can be told is whether it listens.
        let action = TCPSocketAction { host: None, port: IntOrString::Int(action.port) };
        return tcp(&action, target, limit).await;
    }
    Ok(())
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let address = format!("{host}:{port}");
    TcpStream::connect(&address).await.map_err(|error| {
        let refused = error.kind() == std::io::ErrorKind::ConnectionRefused;
        let words = if refused { "connection refused".to_owned() } else { error.to_string().to_lowercase() };
        Failure { message: format!("dial tcp {address}: connect: {words}"), refused }
    })
}

async fn tcp(action: &TCPSocketAction, target: &Target, limit: Duration) -> Result<(), Failure> {
    let host = action.host.as_deref().unwrap_or(&target.ip);
    let port = port(&action.port, &target.container)?;
    match timeout(limit, dial(host, port)).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout").into()),
    }
}

/// A GET as probes and hooks make it: the URL, for messages, and the status.
pub(super) async fn http(action: &HTTPGetAction, target: &Target, limit: Duration) -> (String, Result<u16, Failure>) {
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let host = action.host.as_deref().unwrap_or(&target.ip);
    let path = action.path.as_deref().unwrap_or("/");
    let port = match port(&action.port, &target.container) {
        Ok(port) => port,
        Err(failure) => return (format!("{scheme}://{host}{path}"), Err(failure)),
    };
    let url = format!("{scheme}://{host}:{port}{path}");
    if scheme == "https" {
        // Certificates aren't verified by probes: that something listens there is what can be said without.
        let result = timeout(limit, dial(host, port)).await;
        let late = || Failure::from("context deadline exceeded".to_owned());
        return (url, result.unwrap_or_else(|_| Err(late())).map(|_| 200));
    }
    let get = async {
        let stream = TokioIo::new(dial(host, port).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| Failure::from(error.to_string()))?;
        let driver = tokio::spawn(connection);
        let mut request = hyper::Request::get(path)
            .header("host", format!("{host}:{port}"))
            .header("user-agent", "kube-probe/1.36")
            .header("accept", "*/*")
            .header("connection", "close");
        for header in action.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| Failure::from(error.to_string()))?;
        let answer = sender.send_request(request).await;
        let result = answer.map(|answer| answer.status().as_u16()).map_err(|error| {
            let words = if error.is_incomplete_message() { "EOF".to_owned() } else { error.to_string() };
            Failure::from(words)
        });
        driver.abort();
        result
    };
    let late = || Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned().into());
    let result = timeout(limit, get).await.unwrap_or_else(|_| late());
    (url, result)
}

/// A port by number or by the name that the container gives it.
fn port(port: &IntOrString, container: &Container) -> Result<u16, Failure> {
    let named = |name: &str| {
        container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port)
    };
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => named(text).or_else(|| text.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("couldn't find a port that matches {port:?}").into())
}

/// Runs a command in the container: exit code and the beginning of its output.
///
/// # Errors
/// When it can't be started, or takes longer than the limit.
pub(super) async fn exec(
    target: &Target,
    action: &ExecAction,
    limit: Option<Duration>,
) -> Result<(i64, String), String> {
    let command = action.command.clone().unwrap_or_default();
    let words = command.join(" ");
    let run = async {
        let options = CreateExecOptions {
            cmd: Some(command),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let created = target.docker.create_exec(&target.id, options).await?;
        let mut text = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = target.docker.start_exec(&created.id, None).await? {
            while let Some(Ok(part)) = output.next().await {
                text.extend_from_slice(&part.as_ref()[..part.as_ref().len().min(SHOWN - text.len())]);
            }
        }
        let code = target.docker.inspect_exec(&created.id).await?.exit_code.unwrap_or(-1);
        Ok::<_, bollard::errors::Error>((code, String::from_utf8_lossy(&text).into_owned()))
    };
    let result = match limit {
        None => run.await,
        Some(limit) => timeout(limit, run)
            .await
            .map_err(|_| format!("command timed out: \"{words}\" timed out after {}s", limit.as_secs()))?,
    };
    result.map_err(|error| super::images::words(&error))
}
