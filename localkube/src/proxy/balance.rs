//! A port of the host: connections go to the ready endpoint with the fewest, the others in turn.

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
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// How long an endpoint may take to accept before the next one is tried.
const DIAL: Duration = Duration::from_millis(500);
/// After the process ran out of descriptors, for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

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

/// Listens on the port of the host's loopback.
///
/// # Errors
/// When the port is taken, usually.
pub(super) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Accepts until dropped; connections go on without it.
pub(super) async fn accept(listener: TcpListener, endpoints: Arc<Endpoints>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(serve(client, Arc::clone(&endpoints)))),
            Err(error) => {
                tracing::debug!(%error, "accepting a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(mut client: TcpStream, endpoints: Arc<Endpoints>) {
    // Without a ready endpoint the connection is closed at once: what a client sees of it is a failure to retry.
    let Some((mut server, _counted)) = endpoints.dial().await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    // Passes on the end of one direction while the other goes on.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn server(name: &'static str) -> SocketAddr {
        let listener = listen(0).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut text = String::new();
                    stream.read_to_string(&mut text).await.unwrap();
                    stream.write_all(format!("{name} {text}").as_bytes()).await.unwrap();
                });
            }
        });
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn spreads_passes_over_the_dead_and_half_closes() {
        let (a, b) = (server("a").await, server("b").await);
        let dead = {
            let listener = listen(0).await.unwrap();
            listener.local_addr().unwrap()
        };
        let endpoints = Arc::new(Endpoints::default());
        endpoints.set(&[dead, a, b]);
        let front = listen(0).await.unwrap();
        let address = front.local_addr().unwrap();
        tokio::spawn(accept(front, Arc::clone(&endpoints)));
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(ask(address).await);
        }
        assert!(answers.iter().all(|answer| answer == "a hello" || answer == "b hello"), "{answers:?}");
        assert!(
            answers.iter().any(|answer| answer.starts_with('a'))
                && answers.iter().any(|answer| answer.starts_with('b'))
        );
        endpoints.set(&[]);
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed without an answer");
    }

    #[tokio::test]
    async fn open_connections_outlive_their_endpoint() {
        let a = server("a").await;
        let endpoints = Arc::new(Endpoints::default());
        endpoints.set(&[a]);
        let front = listen(0).await.unwrap();
        let address = front.local_addr().unwrap();
        let accepting = tokio::spawn(accept(front, Arc::clone(&endpoints)));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"one ").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        endpoints.set(&[]);
        accepting.abort();
        stream.write_all(b"two").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "a one two");
    }
}
