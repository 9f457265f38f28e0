//! Connections to ports of pods, as forwarded ports need them.

use std::{io, net::IpAddr, time::Duration};

use bollard::{Docker, query_parameters::ListContainersOptions};
use bytes::Buf as _;
use futures::{StreamExt as _, future};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_util::io::StreamReader;

use super::{
    exec::{self, Streams},
    images, names,
};
use crate::stream::Link;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the node program writes first.
const CONNECTED: u8 = b'+';

/// Connects to a port of a pod: at its address, or inside of it where a program listens for the pod alone.
///
/// # Errors
/// Why not, in a kubelet's words.
pub(crate) async fn dial(
    docker: &Docker,
    cluster_id: &str,
    uid: &str,
    address: IpAddr,
    port: u16,
) -> Result<Link, String> {
    let failed =
        |why: &str| format!("failed to connect to localhost:{port} inside the pod, dial tcp4 {address}:{port}: {why}");
    match timeout(PATIENCE, TcpStream::connect((address, port))).await {
        Ok(Ok(connection)) => {
            // Requests and answers are small; waiting to fill packets would slow each.
            let _ = connection.set_nodelay(true);
            let (reader, writer) = connection.into_split();
            Ok(Link { reader: Box::pin(reader), writer: Box::pin(writer) })
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let inside = timeout(PATIENCE, inside(docker, cluster_id, uid, port)).await;
            inside.ok().flatten().ok_or_else(|| failed("connect: connection refused"))
        }
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("i/o timeout")),
    }
}

/// A connection that the pod's sandbox makes; none if nobody listens there either.
async fn inside(docker: &Docker, cluster_id: &str, uid: &str, port: u16) -> Option<Link> {
    let mut filters =
        names::filter(&[(names::CLUSTER, cluster_id), (names::POD_UID, uid), (names::ROLE, names::ROLE_SANDBOX)]);
    filters.insert("status".to_owned(), vec!["running".to_owned()]);
    let options = ListContainersOptions { filters: Some(filters), ..Default::default() };
    let found = docker.list_containers(Some(options)).await;
    let found = found.inspect_err(|error| tracing::debug!(error = images::words(error), "no sandbox")).ok()?;
    let sandbox = found.into_iter().find_map(|summary| summary.id)?;
    let command = ["/node", "forward", &port.to_string()].map(str::to_owned).to_vec();
    let streams = Streams { stdin: true, stdout: true, stderr: false, tty: false };
    let process = exec::exec(docker.clone(), sandbox, command, streams).await.ok()?;
    let output = process
        .output
        .map(|(_, bytes)| Ok::<_, io::Error>(bytes))
        .filter(|bytes| future::ready(bytes.as_ref().is_ok_and(|bytes| bytes.has_remaining())));
    let mut reader = StreamReader::new(output);
    let writer = process.input.unwrap_or_else(|| Box::pin(tokio::io::sink()));
    let first = reader.read_u8().await.ok()?;
    (first == CONNECTED).then(|| Link { reader: Box::pin(reader), writer })
}
