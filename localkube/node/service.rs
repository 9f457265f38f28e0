//! A service's address: one listener a port, connections spread over the endpoints in turn.
//!
//! The file has a line a port, `PORT ADDRESS:PORT ADDRESS:PORT …`; it is replaced by rename, and read again when it is
//! another file. A port without endpoints has no listener, so that connecting to it is refused, as the rules that
//! kube-proxy writes refuse it.

use std::{
    collections::HashMap,
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the file is looked at: what a leaving endpoint's new connections may be late by.
const POLL: Duration = Duration::from_millis(50);
/// How long an endpoint may take to accept before the next one is tried.
const DIAL: Duration = Duration::from_millis(500);
/// Connections need little: the work is in the kernel.
const STACK: usize = 64 * 1024;

/// One port's listener and where it leads.
struct Port {
    endpoints: RwLock<Vec<SocketAddr>>,
    next: AtomicUsize,
    closed: AtomicBool,
}

pub fn run(file: &Path) -> ExitCode {
    let mut ports: HashMap<u16, Arc<Port>> = HashMap::new();
    let mut seen = None;
    loop {
        let version = fs::metadata(file).ok().map(|data| (data.ino(), data.mtime(), data.mtime_nsec()));
        if version != seen {
            if let Ok(text) = fs::read_to_string(file) {
                seen = version;
                update(&mut ports, &parse(&text));
            }
        }
        thread::sleep(POLL);
    }
}

fn parse(text: &str) -> HashMap<u16, Vec<SocketAddr>> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let port = words.next()?.parse().ok()?;
            Some((port, words.filter_map(|word| word.parse().ok()).collect()))
        })
        .collect()
}

fn update(ports: &mut HashMap<u16, Arc<Port>>, wanted: &HashMap<u16, Vec<SocketAddr>>) {
    ports.retain(|number, port| {
        let keep = wanted.get(number).is_some_and(|endpoints| !endpoints.is_empty());
        if !keep {
            port.endpoints.write().expect("no writer panics").clear();
            port.closed.store(true, Ordering::Release);
            // The acceptor sleeps in accept(): one connection wakes it, and it leaves.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, *number));
        }
        keep
    });
    for (&number, endpoints) in wanted.iter().filter(|(_, endpoints)| !endpoints.is_empty()) {
        if let Some(port) = ports.get(&number) {
            *port.endpoints.write().expect("no writer panics") = endpoints.clone();
            continue;
        }
        match listen(number) {
            Ok(listener) => {
                let port = Arc::new(Port {
                    endpoints: RwLock::new(endpoints.clone()),
                    next: AtomicUsize::new(0),
                    closed: AtomicBool::new(false),
                });
                ports.insert(number, Arc::clone(&port));
                spawn(move || accept(&listener, &port));
            }
            Err(error) => eprintln!("listening on port {number}: {error}"),
        }
    }
}

/// The listener that this one replaces may not be gone yet.
fn listen(port: u16) -> io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries < 50 => tries += 1,
            result => return result,
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn accept(listener: &TcpListener, port: &Arc<Port>) {
    for connection in listener.incoming() {
        if port.closed.load(Ordering::Acquire) {
            return;
        }
        if let Ok(client) = connection {
            let port = Arc::clone(port);
            spawn(move || serve(&client, &port));
        }
    }
}

fn serve(client: &TcpStream, port: &Port) {
    let Some(server) = dial(port) else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    thread::scope(|scope| {
        let there = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || pass(client, &server));
        pass(&server, client);
        drop(there);
    });
}

/// Every endpoint once, starting with the one whose turn it is; nothing has been sent yet, so trying again is safe.
fn dial(port: &Port) -> Option<TcpStream> {
    let endpoints = port.endpoints.read().expect("no writer panics").clone();
    let turn = port.next.fetch_add(1, Ordering::Relaxed);
    (0..endpoints.len()).find_map(|step| {
        let endpoint = endpoints[(turn.wrapping_add(step)) % endpoints.len()];
        TcpStream::connect_timeout(&endpoint, DIAL).ok()
    })
}

/// One direction until its end, which is passed on alone: the other direction may have more to say.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let done = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    if done.is_err() {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    // Out of threads: the connection is dropped, and the service goes on.
    let _ = thread::Builder::new().stack_size(STACK).spawn(work);
}
