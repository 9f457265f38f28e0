//! Subresources of pods that take the connection over: portforward, exec and attach.

use std::{net::IpAddr, sync::Arc};

use axum::response::Response;
use futures::FutureExt as _;

use super::{Server, log, read, request::Call};
use crate::{
    kubelet::{
        self,
        exec::{self, Streams},
    },
    status::Status,
    store::Key,
    stream::{self, Channel, Dial, TUNNELLED, Target, Transport, Wish},
};

/// The protocol of kubectl where it cannot tunnel.
const PORTS: &str = "portforward.k8s.io";
const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// GET or POST of `pods/NAME/portforward`.
pub(super) fn forward(call: Call) -> Result<Response, Status> {
    let pod = read::found(&call)?.value();
    let name = call.name.clone().unwrap_or_default();
    let wish = Wish::of(&call.headers)?;
    let protocol = match wish {
        Wish::WebSocket { .. } => wish.choose(&[TUNNELLED, V4])?,
        Wish::Spdy(_) => wish.choose(&[PORTS])?,
    };
    let ports = ports(&call)?;
    if protocol == V4 && ports.is_empty() {
        return Err(Status::bad_request("query parameter \"ports\" is required"));
    }
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    if running(&call.server, &call.key(), &uid).is_none() {
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        let why = format!("unable to forward port because pod is not running. Current status={phase}");
        return Err(Status::internal(why));
    }
    let target = Target { dial: dial(&call, uid.clone()), pod: name, uid };
    let upgrade = taken(&call)?;
    let answer = wish.answer(protocol);
    run(&call, async move {
        let transport = match (&wish, protocol) {
            (_, V4) => return stream::channels(upgrade, target, ports).await,
            (Wish::WebSocket { .. }, _) => Transport::tunnel(upgrade).await,
            (Wish::Spdy(_), _) => Transport::bare(upgrade).await,
        };
        if let Some(transport) = transport {
            stream::streams(transport, target).await;
        }
    });
    Ok(answer)
}

/// The way to the pod's ports, as long as it runs: its address may be another's afterwards.
fn dial(call: &Call, uid: String) -> Dial {
    let (server, key) = (Arc::clone(&call.server), call.key());
    Arc::new(move |port| {
        let (server, key, uid) = (Arc::clone(&server), key.clone(), uid.clone());
        async move {
            let address = running(&server, &key, &uid).ok_or("the pod is not running")?;
            let node = server.node.get().ok_or("the node's container engine does not answer")?;
            kubelet::dial::dial(&node.docker, &node.cluster_id, &uid, address, port).await
        }
        .boxed()
    })
}

/// The address of a pod that runs.
fn running(server: &Server, key: &Key, uid: &str) -> Option<IpAddr> {
    let pod = server.store.get(key)?.value();
    let runs = pod["metadata"]["uid"] == uid && pod["status"]["phase"] == "Running";
    pod["status"]["podIP"].as_str().filter(|_| runs)?.parse().ok()
}

/// GET of `pods/NAME/exec` or `pods/NAME/attach`.
pub(super) async fn process(call: &Call, subresource: &str) -> Result<Response, Status> {
    let pod = read::found(call)?.value();
    let container = log::container(call, &pod)?;
    let flag = |name: &str| call.query.flag(name);
    let mut streams =
        Streams { stdin: flag("stdin"), stdout: flag("stdout"), stderr: flag("stderr"), tty: flag("tty") };
    streams.stderr &= !streams.tty;
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let command: Vec<String> =
        call.query.0.iter().filter(|(name, _)| name == "command").map(|(_, word)| word.clone()).collect();
    if subresource == "exec" && command.is_empty() {
        return Err(Status::bad_request("you must specify a command"));
    }
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        let name = call.name.as_deref().unwrap_or_default();
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let Some(node) = call.server.node.get() else {
        return Err(Status::internal("the node's container engine does not answer: is Docker running?"));
    };
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let found = exec::running(&node.docker, &node.cluster_id, uid, &container).await.map_err(Status::internal)?;
    let missing = || Status::internal(format!("unable to upgrade connection: container not found (\"{container}\")"));
    let id = found.ok_or_else(missing)?;
    let wish = Wish::of(&call.headers)?;
    if matches!(wish, Wish::Spdy(_)) {
        return Err(Status::bad_request("exec and attach are served over WebSockets alone"));
    }
    let protocol = wish.choose(&[V5, V4])?;
    let upgrade = taken(call)?;
    let first = match (streams.stdout, streams.stderr) {
        (true, _) => Channel::Stdout,
        (_, true) => Channel::Stderr,
        _ => Channel::Status,
    };
    let (docker, attach) = (node.docker.clone(), subresource == "attach");
    run(
        call,
        stream::attend(upgrade, first, async move {
            if attach {
                exec::attach(docker, id, streams).await
            } else {
                exec::exec(docker, id, command, streams).await
            }
        }),
    );
    Ok(wish.answer(protocol))
}

/// The ports that a client of channels names in the query.
fn ports(call: &Call) -> Result<Vec<u16>, Status> {
    let named = call.query.0.iter().filter(|(name, _)| name == "ports");
    let words = named.flat_map(|(_, words)| words.split(',')).filter(|word| !word.is_empty());
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| *port != 0);
    let ports = words
        .map(|word| port(word).ok_or_else(|| Status::bad_request(format!("unable to parse \"{word}\" as a port"))));
    ports.collect()
}

fn taken(call: &Call) -> Result<stream::Upgrade, Status> {
    call.upgrade.clone().ok_or_else(|| Status::bad_request("Upgrade request required"))
}

/// Works on the connection until it is done or this process ends.
fn run(call: &Call, work: impl Future<Output = ()> + Send + 'static) {
    let stopping = call.server.stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = stopping.cancelled() => {}
        }
    });
}
