//! One server: connections, of HTTP/1.1 or of HTTP/2 with prior knowledge, and how they end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::{
    config::Limits,
    connections::{Connections, Guard},
    drain::{Drain, Phase},
};

/// How long a connection that was opened during the drain may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long a connection that makes room may take to be done with a request that has just begun.
const LAST_REQUEST: Duration = Duration::from_millis(100);
/// Requests that one connection of HTTP/2 may have under way.
const STREAMS: u32 = 128;

/// Serves until the drain is over: that is, until it closes and the last connection has gone.
pub async fn serve(listener: TcpListener, router: Router, drain: Drain, limits: &Limits) {
    let open = Arc::new(Connections::new(limits.connections));
    let http = http(limits);
    // Until the very end: a connection that was made in time sits in the kernel's queue, and closing the listener
    // would reset it.
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // The kernel resets a connection whose other side takes nothing any more, so that no answer is
                    // held for it.
                    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(limits.send_timeout));
                    if let Some(guard) = open.enter() {
                        let (http, router, drain) = (http.clone(), router.clone(), drain.clone());
                        tokio::spawn(connection(stream, peer, guard, http, router, drain, limits.header_timeout));
                    }
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

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(limits.header);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        // Whoever does not answer a ping is gone.
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    http
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    guard: Guard,
    http: Builder<TokioExecutor>,
    router: Router,
    drain: Drain,
    header_timeout: Duration,
) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let busy = guard.request();
        let answer = router.clone().oneshot(request);
        async move {
            let _busy = busy;
            answer.await
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // The head of a later request has a deadline in hyper; which HTTP it is has to be told before there is one.
    let mute = async {
        tokio::time::sleep(header_timeout).await;
        if guard.has_served() {
            std::future::pending::<()>().await;
        }
    };
    let unwanted = tokio::select! {
        // First, so that a request that has arrived is seen before the connection is taken to be at rest.
        biased;
        result = connection.as_mut() => return log(result),
        () = drain.reached(Phase::Closing) => false,
        () = guard.unwanted() => true,
        () = mute => return,
    };
    if !unwanted && !guard.has_served() {
        // Just opened, its first request on the way: hyper would close it unread.
        let first = tokio::time::timeout(FIRST_REQUEST, connection.as_mut());
        if let Ok(result) = first.await {
            return log(result);
        }
    }
    connection.as_mut().graceful_shutdown();
    if unwanted {
        let last = tokio::time::timeout(LAST_REQUEST, connection.as_mut());
        if let Ok(result) = last.await {
            return log(result);
        }
        if !guard.is_busy() {
            return;
        }
    }
    log(connection.await);
}

fn log(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        // Clients that go away; nobody's failure.
        tracing::debug!(%error, "connection");
    }
}
