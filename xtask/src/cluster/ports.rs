//! The ports of this machine that the manifests want to publish.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind},
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use serde_json::Value;

use super::local;
use crate::error::Error;

/// The ports of the services that are to be reachable from outside.
pub fn published<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<u16> {
    let mut ports: Vec<u16> = objects
        .into_iter()
        .filter(|object| object["kind"] == "Service" && object["spec"]["type"] == "LoadBalancer")
        .filter_map(|object| object["spec"]["ports"].as_array())
        .flatten()
        .filter_map(|port| port["port"].as_u64().and_then(|port| u16::try_from(port).ok()))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What keeps the local environment from listening on a port.
pub(super) fn check(root: &Path, port: u16) -> Option<Error> {
    let taken = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => return None,
        Err(error) if error.kind() == ErrorKind::AddrInUse => format!("port {port} is taken"),
        Err(error) => return Some(Error::failed(format!("listen on port {port}")).source(&error)),
    };
    let ours = local::find(root).ok().flatten().map(|running| running.pid);
    // First alone, and no further than the socket: all of what /proc can tell takes longer than the rest of a preflight.
    if ours.is_some_and(|ours| listeners(port).any(|socket| holds(ours, &[socket]))) {
        return None;
    }
    let remedy = "end that process, or change the port of the Service in the manifests";
    match (holder(port), ours) {
        // Where the holder cannot be seen, a running environment that published the port before is the likely one.
        (None, Some(_)) => None,
        (Some(holder), _) => {
            let name = fs::read_to_string(format!("/proc/{holder}/comm")).unwrap_or_default();
            Some(Error::failed(format!("{taken} by process {holder} ({})", name.trim())).hint(remedy))
        }
        (None, None) => Some(Error::failed(format!("{taken} by another process")).hint(remedy)),
    }
}

/// The sockets that listen on a TCP port, as /proc names them.
///
/// Its tables have the sockets that listen first (<https://docs.kernel.org/networking/proc_net_tcp.html>), and the kernel
/// looks for a line when it is read: what is connected, it need not look for.
fn listeners(port: u16) -> impl Iterator<Item = String> {
    const LINE: usize = 150;
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|table| File::open(table).ok());
    tables.flat_map(move |table| {
        let lines = BufReader::with_capacity(LINE, table).lines().map_while(Result::ok).skip(1);
        lines
            .map_while(|line| listener(&line).map(|(port, inode)| (port, format!("socket:[{inode}]"))))
            .filter_map(move |(listens, socket)| (listens == port).then_some(socket))
    })
}

/// The process that listens on a TCP port, where /proc tells.
fn holder(port: u16) -> Option<u32> {
    let sockets: Vec<String> = listeners(port).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|process| holds(*process, &sockets))
}

fn holds(process: u32, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        sockets.iter().any(|socket| *socket == target)
    })
}

/// The port and the inode of the socket, if this line of /proc/net/tcp (proc(5)) is one that listens.
fn listener(line: &str) -> Option<(u16, &str)> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_whitespace();
    let local = columns.nth(1)?;
    let state = columns.nth(1)?;
    let inode = columns.nth(5)?;
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (state == LISTEN).then_some((port, inode))
}
