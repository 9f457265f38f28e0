//! The ports of this machine that the manifests want to publish.

use std::{
    fs,
    io::ErrorKind,
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
    let remedy = "end that process, or change the port of the Service in the manifests";
    match (holder(port), ours) {
        (Some(holder), Some(ours)) if holder == ours => None,
        // Where the holder cannot be seen, a running environment that published the port before is the likely one.
        (None, Some(_)) => None,
        (Some(holder), _) => {
            let name = fs::read_to_string(format!("/proc/{holder}/comm")).unwrap_or_default();
            Some(Error::failed(format!("{taken} by process {holder} ({})", name.trim())).hint(remedy))
        }
        (None, None) => Some(Error::failed(format!("{taken} by another process")).hint(remedy)),
    }
}

/// The process that listens on a TCP port, where /proc tells.
fn holder(port: u16) -> Option<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table.lines().skip(1).filter_map(|line| listener(line, port)).map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|process: &u32| {
        let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
            let target = target.to_string_lossy();
            sockets.iter().any(|socket| *socket == target)
        })
    })
}

/// The inode of the socket, if this line of /proc/net/tcp (proc(5)) is one that listens on the port.
fn listener(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_whitespace();
    let local = columns.nth(1)?;
    let state = columns.nth(1)?;
    let inode = columns.nth(5)?;
    let listens = state == LISTEN && u16::from_str_radix(local.rsplit(':').next()?, 16).ok()? == port;
    listens.then_some(inode)
}
