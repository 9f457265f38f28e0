//! Requests on a port of the host's loopback, passed on to the endpoints that the table names.
//!
//! Each request has a connection of its own to the pod, so that none is ever sent into one that a leaving pod is about
//! to close.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::routes::Table;

/// How long an endpoint may take to accept before the next one is tried.
const DIAL: Duration = Duration::from_millis(500);
/// How long a connection may be idle: longer than clients keep theirs.
const IDLE: Duration = Duration::from_secs(120);
/// After the process ran out of descriptors, for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// What concerns one connection and is not passed on (RFC 9110, 7.6.1).
const HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

type Body = BoxBody<Bytes, hyper::Error>;

/// The table that requests to come look into.
pub(super) type Shared = Arc<RwLock<Arc<Table>>>;

/// Accepts until dropped; requests that have begun go on.
pub(super) async fn serve(listener: TcpListener, table: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => drop(tokio::spawn(connection(stream, client, Arc::clone(&table)))),
            Err(error) => {
                tracing::debug!(%error, "accepting a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, client: SocketAddr, table: Shared) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let table = Arc::clone(&table.read().unwrap_or_else(PoisonError::into_inner));
        async move { Ok::<_, Infallible>(answer(request, client, &table).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of an ingress ended early");
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn answer(request: Request<Incoming>, client: SocketAddr, table: &Table) -> Response<Body> {
    let host = request
        .uri()
        .host()
        .map(str::to_owned)
        .or_else(|| request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned));
    let Some(target) = table.find(host.as_deref().unwrap_or_default(), request.uri().path()) else {
        return refusal(StatusCode::NOT_FOUND, "no rule of an Ingress matches this request\n");
    };
    for address in target.order() {
        // Nothing has been sent yet, so an endpoint that doesn't accept is passed over.
        if let Ok(Ok(stream)) = timeout(DIAL, TcpStream::connect(address)).await {
            return match send(stream, outgoing(request, client.ip())).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::debug!(%error, %address, "an ingress got no answer");
                    refusal(StatusCode::BAD_GATEWAY, "the service closed the connection without an answer\n")
                }
            };
        }
    }
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the service has no endpoint that is ready\n")
}

async fn send(stream: TcpStream, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a pod ended early");
        }
    });
    let mut response = sender.send_request(request).await?;
    strip(response.headers_mut());
    Ok(response.map(BodyExt::boxed))
}

/// Removes what concerns one connection only, as `Connection` names it and as it is known.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP) {
        headers.remove(name);
    }
}

/// The request as the pod gets it: for this path, from that client.
fn outgoing(mut request: Request<Incoming>, client: IpAddr) -> Request<Incoming> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    *request.uri_mut() = Uri::try_from(path).unwrap_or_default();
    let headers = request.headers_mut();
    strip(headers);
    if let Some(authority) = authority {
        headers.insert(header::HOST, authority);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert("x-forwarded-host", host);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    let before = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()).map(|value| format!("{value}, "));
    if let Ok(value) = HeaderValue::from_str(&format!("{}{client}", before.unwrap_or_default())) {
        headers.insert("x-forwarded-for", value);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    *request.version_mut() = http::Version::HTTP_11;
    request
}
