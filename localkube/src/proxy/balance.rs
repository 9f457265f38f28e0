//! A port of the host: connections go to the ready endpoint with the fewest, the others in turn; while there is none,
//! they are refused, as kube-proxy's rules do it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

/// How long an endpoint may take to accept before the next one is tried.
const DIAL: Duration = Duration::from_millis(500);
/// After the process ran out of descriptors, for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// An endpoint and how many connections it has.
#[derive(Debug, Clone)]
struct Endpoint {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// Where the connections of a port go.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    list: Mutex<Vec<Endpoint>>,
    turn: AtomicUsize,
    /// Whether there is one.
    present: watch::Sender<bool>,
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoints {
    /// Replaces the endpoints for connections to come; those that are open stay with the one they have.
    pub(super) fn set(&self, addresses: &[SocketAddr]) {
        let mut list = self.list.lock().expect("no holder panics");
        let old = std::mem::take(&mut *list);
        list.extend(addresses.iter().map(|address| {
            let known = old.iter().find(|endpoint| endpoint.address == *address).cloned();
            known.unwrap_or_else(|| Endpoint { address: *address, connections: Arc::default() })
        }));
        self.present
            .send_if_modified(|present| std::mem::replace(present, !addresses.is_empty()) == addresses.is_empty());
    }

    /// Waits until there is an endpoint, or none any more.
    pub(super) async fn until(&self, present: bool) {
        // The sender lives as long as self.
        let _ = self.present.subscribe().wait_for(|now| *now == present).await;
    }

    /// All endpoints in the order they are to be tried.
    fn order(&self) -> Vec<Endpoint> {
        let mut list = self.list.lock().expect("no holder panics").clone();
        if !list.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % list.len();
            list.rotate_left(turn);
            // Stable: equals stay in turn.
            list.sort_by_key(|endpoint| endpoint.connections.load(Ordering::Relaxed));
        }
        list
    }

    /// Nothing has been sent yet, so an endpoint that doesn't accept is passed over.
    async fn dial(&self) -> Option<(TcpStream, Counted)> {
        for endpoint in self.order() {
            let counted = Counted::new(&endpoint.connections);
            if let Ok(Ok(stream)) = timeout(DIAL, TcpStream::connect(endpoint.address)).await {
                return Some((stream, counted));
            }
        }
        None
    }
}

/// Takes the port of the host's loopback without listening on it: connections are refused, and nobody else gets it.
///
/// # Errors
/// When the port is taken, usually.
pub(super) fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that have just ended must not keep the port from being taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Listens on a reserved port as long as there is an endpoint; connections go on without it.
///
/// # Errors
/// When another program listens on the port meanwhile.
pub(super) async fn accept(socket: TcpSocket, endpoints: &Arc<Endpoints>) -> io::Result<()> {
    let listener = socket.listen(BACKLOG)?;
    tokio::select! {
        () = endpoints.until(false) => Ok(()),
        never = accept_on(&listener, endpoints) => match never {},
    }
}

async fn accept_on(listener: &TcpListener, endpoints: &Arc<Endpoints>) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(serve(client, Arc::clone(endpoints)))),
            Err(error) => {
                tracing::debug!(%error, "accepting a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(mut client: TcpStream, endpoints: Arc<Endpoints>) {
    // No endpoint that accepts: the connection is closed at once, and what a client sees of it is a failure to retry.
    let Some((mut server, _counted)) = endpoints.dial().await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    // Passes on the end of one direction while the other goes on.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[cfg(test)]
mod tests;
