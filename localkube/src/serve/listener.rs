//! Connections: accepted, with TLS or without, and ended in order when the process stops.

use std::time::Duration;

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may be idle or slow with the head of a request: longer than clients keep idle connections (90
/// s in Go and in hyper), so that it is never us who close one that a request is about to use.
const IDLE: Duration = Duration::from_secs(120);
/// How long to wait when the operating system has no file descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// Serves connections until told to stop, and then until those that are open are done.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let connections = tokio_util::task::TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        // Answers are small; waiting to fill packets would cost 40 ms each.
        let _ = stream.set_nodelay(true);
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, router, &stop).await,
                Some(tls) => match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, router, &stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
                    Err(_) => tracing::debug!("the TLS handshake takes too long"),
                },
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<S>(stream: S, router: Router, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(|request: http::Request<Incoming>| request.map(Body::new));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // The request under way is answered; no further one is read.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
