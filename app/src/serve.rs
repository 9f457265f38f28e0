//! One server: connections, and how they end.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower::ServiceExt as _;

use crate::drain::{Drain, Phase};

/// How long a connection that was opened during the drain may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Serves until the drain is over: that is, until it closes and the last connection has gone.
pub async fn serve(listener: TcpListener, router: Router, drain: Drain, header_timeout: Duration) {
    let open = Arc::new(Open::default());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    // Until the very end: a connection that was made in time sits in the kernel's queue, and closing the listener
    // would reset it.
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let guard = Guard::new(&open);
                    let connection = connection(stream, http.clone(), router.clone(), drain.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(guard);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: others have to close first.
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    let done = async {
        drain.reached(Phase::Closing).await;
        open.none().await;
    };
    tokio::select! {
        biased;
        () = accept => {}
        () = done => {}
    }
}

async fn connection(stream: TcpStream, http: http1::Builder, router: Router, drain: Drain) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let served = Arc::new(AtomicBool::new(false));
    let seen = served.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        router.clone().oneshot(request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // First, so that a request that has arrived is seen before the connection is taken to be at rest.
        biased;
        result = connection.as_mut() => return log(result),
        () = drain.reached(Phase::Closing) => {}
    }
    if !served.load(Ordering::Relaxed) {
        // Just opened, its first request on the way: hyper would close it unread.
        let first = tokio::time::timeout(FIRST_REQUEST, connection.as_mut());
        if let Ok(result) = first.await {
            return log(result);
        }
    }
    connection.as_mut().graceful_shutdown();
    log(connection.await);
}

fn log(result: hyper::Result<()>) {
    if let Err(error) = result {
        // Clients that go away; nobody's failure.
        tracing::debug!(%error, "connection");
    }
}

/// How many connections are open.
#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    changed: Notify,
}

impl Open {
    async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

struct Guard(Arc<Open>);

impl Guard {
    fn new(open: &Arc<Open>) -> Self {
        open.count.fetch_add(1, Ordering::SeqCst);
        Self(open.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_one();
    }
}
