//! Processes that clients start in a container, and the container's own that they attach to.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bollard::{
    Docker,
    container::LogOutput,
    exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults},
    query_parameters::{
        AttachContainerOptions, ListContainersOptions, ResizeContainerTTYOptions, WaitContainerOptions,
    },
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future};
use tokio::time::sleep;

use super::{images, names};
use crate::stream::{Exit, Process};

/// What the engine says instead of output when it cannot start the command.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed: ";
/// What it takes for its exit code then.
const NOT_STARTED_CODES: [i64; 2] = [126, 127];
/// Between two questions whether a process that closed its output has ended.
const POLL: Duration = Duration::from_millis(50);

/// Which streams of a process a client wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    /// What it reads.
    pub(crate) stdin: bool,
    /// What it writes.
    pub(crate) stdout: bool,
    /// And what it complains of; on a terminal this is the same stream.
    pub(crate) stderr: bool,
    /// Through a terminal.
    pub(crate) tty: bool,
}

/// The pod's running container; none if it doesn't run.
///
/// # Errors
/// What the engine says.
pub(crate) async fn running(
    docker: &Docker,
    cluster_id: &str,
    uid: &str,
    container: &str,
) -> Result<Option<String>, String> {
    let mut filters =
        names::filter(&[(names::CLUSTER, cluster_id), (names::POD_UID, uid), (names::CONTAINER, container)]);
    filters.insert("status".to_owned(), vec!["running".to_owned()]);
    let options = ListContainersOptions { filters: Some(filters), ..Default::default() };
    let list = docker.list_containers(Some(options)).await.map_err(|error| images::words(&error))?;
    Ok(list.into_iter().find_map(|summary| summary.id))
}

/// Runs a command in a container.
///
/// # Errors
/// What the engine says.
pub(crate) async fn exec(
    docker: Docker,
    container: String,
    command: Vec<String>,
    streams: Streams,
) -> Result<Process, String> {
    let words = command.join(" ");
    let options = CreateExecOptions {
        cmd: Some(command),
        attach_stdin: Some(streams.stdin),
        attach_stdout: Some(streams.stdout),
        attach_stderr: Some(streams.stderr && !streams.tty),
        tty: Some(streams.tty),
        ..Default::default()
    };
    let id = docker.create_exec(&container, options).await.map_err(|error| images::words(&error))?.id;
    let start = StartExecOptions { tty: streams.tty, ..Default::default() };
    let started = docker.start_exec(&id, Some(start)).await.map_err(|error| images::words(&error))?;
    let StartExecResults::Attached { output, input } = started else {
        return Err("the engine runs the command where nobody sees it".to_owned());
    };
    let refused = Arc::new(OnceLock::new());
    let (refusal, mut first) = (Arc::clone(&refused), true);
    let output = output.filter_map(move |part| {
        let part = part.ok().map(plain);
        let why =
            part.as_ref().filter(|_| std::mem::take(&mut first)).filter(|(_, text)| text.starts_with(NOT_STARTED));
        let said = why.map(|(_, text)| refusal.set(String::from_utf8_lossy(text).trim_end().to_owned()));
        future::ready(part.filter(|_| said.is_none()))
    });
    let (resizer, resized) = (docker.clone(), id.clone());
    Ok(Process {
        output: output.boxed(),
        input: streams.stdin.then_some(input),
        resize: Box::new(move |width, height| {
            let (docker, id) = (resizer.clone(), resized.clone());
            async move {
                let _ = docker.resize_exec(&id, ResizeExecOptions { height, width }).await;
            }
            .boxed()
        }),
        exit: async move {
            match exit_code(&docker, &id).await {
                Ok(0) => Exit::Success,
                Ok(code) => match refused.get().filter(|_| NOT_STARTED_CODES.contains(&code)) {
                    Some(why) => Exit::Unknown(format!("failed to exec in container: failed to start exec: {why}")),
                    None => Exit::Code(code, format!("error executing command [{words}], exit code {code}")),
                },
                Err(why) => Exit::Unknown(why),
            }
        }
        .boxed(),
    })
}

/// Attaches to what a container runs.
///
/// # Errors
/// What the engine says.
pub(crate) async fn attach(docker: Docker, container: String, streams: Streams) -> Result<Process, String> {
    let options = AttachContainerOptions {
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        stream: true,
        ..Default::default()
    };
    let attached = docker.attach_container(&container, Some(options)).await.map_err(|error| images::words(&error))?;
    let (resizer, resized) = (docker.clone(), container.clone());
    Ok(Process {
        output: attached.output.filter_map(|part| future::ready(part.ok())).map(plain).boxed(),
        input: streams.stdin.then_some(attached.input),
        resize: Box::new(move |width, height| {
            let (docker, id) = (resizer.clone(), resized.clone());
            async move {
                let options = ResizeContainerTTYOptions { h: i32::from(height), w: i32::from(width) };
                let _ = docker.resize_container_tty(&id, options).await;
            }
            .boxed()
        }),
        // The container's own end is told by the pod's status.
        exit: async move {
            let _ = docker.wait_container(&container, None::<WaitContainerOptions>).next().await;
            Exit::Success
        }
        .boxed(),
    })
}

fn plain(part: LogOutput) -> (bool, Bytes) {
    (matches!(part, LogOutput::StdErr { .. }), part.into_bytes())
}

/// How a command ended, once it has: its output may end before it does.
async fn exit_code(docker: &Docker, id: &str) -> Result<i64, String> {
    loop {
        let state = docker.inspect_exec(id).await.map_err(|error| images::words(&error))?;
        match (state.running, state.exit_code) {
            (Some(true), _) => sleep(POLL).await,
            (_, Some(code)) => return Ok(code),
            (_, None) => return Err("the engine does not know how the command ended".to_owned()),
        }
    }
}
