//! How a connection stops being HTTP: the handshake of a WebSocket (RFC 6455) or of bare SPDY/3.1.

use std::pin::Pin;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{Sink, SinkExt as _, StreamExt as _, future, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::codec::{BytesCodec, Framed};

use crate::status::Status;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const SPDY: &str = "SPDY/3.1";
/// What a client may send in one message. Clients send at most 32 KiB; beyond this it is no client of ours.
const MESSAGE_BYTES: usize = 4 << 20;

/// A connection that can be taken over once the answer is sent.
pub(crate) type Upgrade = OnUpgrade;

/// The other end, as WebSocket messages.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The other end, as bytes whose boundaries mean nothing.
pub(crate) struct Transport {
    pub(super) incoming: BoxStream<'static, Bytes>,
    pub(super) outgoing: Pin<Box<dyn Sink<Bytes, Error = ()> + Send>>,
}

/// What a client wants the connection to become.
#[derive(Debug)]
pub(crate) enum Wish {
    /// A WebSocket, with the subprotocols that the client speaks.
    WebSocket {
        /// In the client's order.
        protocols: Vec<String>,
        /// What the answer must prove to have read.
        key: HeaderValue,
    },
    /// SPDY/3.1, with the protocols over it.
    Spdy(Vec<String>),
}

impl Wish {
    /// Reads the request's headers.
    ///
    /// # Errors
    /// 400 if the client asks for neither.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let wanted = list(headers, header::UPGRADE);
        if wanted.iter().any(|one| one.eq_ignore_ascii_case("websocket")) {
            let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
            let key = key.ok_or_else(|| Status::bad_request("the WebSocket handshake has no Sec-WebSocket-Key"))?;
            return Ok(Self::WebSocket { protocols: list(headers, header::SEC_WEBSOCKET_PROTOCOL), key });
        }
        if wanted.iter().any(|one| one.eq_ignore_ascii_case(SPDY)) {
            return Ok(Self::Spdy(list(headers, STREAM_PROTOCOL)));
        }
        Err(Status::bad_request("Upgrade request required"))
    }

    /// The first of our protocols that the client speaks, too.
    ///
    /// # Errors
    /// 403, as a kubelet answers, if there is none.
    pub(crate) fn choose(&self, ours: &[&'static str]) -> Result<&'static str, Status> {
        let (Self::WebSocket { protocols, .. } | Self::Spdy(protocols)) = self;
        let chosen = ours.iter().find(|our| protocols.iter().any(|one| one == *our));
        chosen.copied().ok_or_else(|| {
            let message = format!(
                "unable to negotiate protocol: client supports [{}], server accepts [{}]",
                protocols.join(" "),
                ours.join(" ")
            );
            Status::new(403, "Forbidden", message)
        })
    }

    /// The answer that ends HTTP on this connection.
    pub(crate) fn answer(&self, protocol: &'static str) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        match self {
            Self::WebSocket { key, .. } => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                let proof = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, proof.expect("base64 fits a header"));
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            }
            Self::Spdy(_) => {
                headers.insert(header::UPGRADE, HeaderValue::from_static(SPDY));
                headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
            }
        }
        response
    }
}

/// Waits until the answer is sent and takes the connection over; none if it broke before.
pub(super) async fn socket(upgrade: Upgrade) -> Option<Socket> {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
    let connection = TokioIo::new(upgrade.await.ok()?);
    Some(WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await)
}

impl Transport {
    /// Bytes through a WebSocket's binary messages.
    pub(crate) async fn tunnel(upgrade: Upgrade) -> Option<Self> {
        let (sink, stream) = socket(upgrade).await?.split();
        let incoming = stream
            .take_while(|message| future::ready(matches!(message, Ok(message) if !message.is_close())))
            .filter_map(|message| future::ready(message.ok().filter(Message::is_binary).map(Message::into_data)));
        let outgoing =
            sink.with(|bytes| future::ready(Ok(Message::Binary(bytes)))).sink_map_err(|_: TungsteniteError| ());
        Some(Self { incoming: incoming.boxed(), outgoing: Box::pin(outgoing) })
    }

    /// Bytes on the connection itself.
    pub(crate) async fn bare(upgrade: Upgrade) -> Option<Self> {
        let connection = TokioIo::new(upgrade.await.ok()?);
        let (sink, stream) = Framed::new(connection, BytesCodec::new()).split();
        let incoming = stream
            .take_while(|bytes| future::ready(bytes.is_ok()))
            .filter_map(|bytes| future::ready(bytes.ok().map(bytes::BytesMut::freeze)));
        Some(Self { incoming: incoming.boxed(), outgoing: Box::pin(sink.sink_map_err(|_: std::io::Error| ())) })
    }
}

type TungsteniteError = tokio_tungstenite::tungstenite::Error;

/// The values of a header that holds a list.
fn list(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}
