//! One request at a time over a connection of its own: a kept one would always meet the same pod.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::util::intstr::IntOrString};
use kube::{Api, api::ListParams};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    address,
    answer::{self, Answer},
};

/// No check looks at more of an answer.
const BODY_LIMIT: usize = 1 << 20;

/// How requests get to a service.
#[derive(Clone)]
pub(super) struct Route {
    /// `https://example.com`
    url: String,
    host: String,
    port: u16,
    secure: bool,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// To the host of the URL, or to this one in its place.
    Direct(Option<String>),
    /// Through the API server.
    Forwarded(Box<Forward>),
}

/// The pods behind a Service, and the port that it names.
#[derive(Clone)]
pub(super) struct Forward {
    pub(super) pods: Api<Pod>,
    pub(super) selector: String,
    pub(super) port: IntOrString,
}

impl Route {
    /// The way to a URL without a path.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it begins neither with http:// nor with https://".to_owned()),
        };
        let host = uri.host().ok_or("it has no host")?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, host, port, secure, way: Way::Direct(None) })
    }

    /// The same, connecting to another host than the one that is asked for.
    pub(super) fn by_way_of(self, host: &str) -> Self {
        Self { way: Way::Direct(Some(host.to_owned())), ..self }
    }

    pub(super) fn forwarded(url: String, forward: Forward) -> Self {
        Self { host: String::new(), port: 0, secure: false, url, way: Way::Forwarded(Box::new(forward)) }
    }

    pub(super) fn is_forwarded(&self) -> bool {
        matches!(self.way, Way::Forwarded(_))
    }

    /// What requests are sent to, without a path.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; its URI is absolute.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        match &self.way {
            Way::Forwarded(forward) => forward.send(request).await,
            Way::Direct(instead) => {
                let host = instead.as_ref().unwrap_or(&self.host).trim_matches(['[', ']']);
                let place = format!("{host}:{}", self.port);
                let stream = TcpStream::connect((host, self.port)).await;
                let stream = stream.map_err(|error| format!("connect to {place}: {error}"))?;
                if !self.secure {
                    return exchange(stream, request).await;
                }
                let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
                let stream = TlsConnector::from(tls()?).connect(name, stream).await;
                exchange(stream.map_err(|error| format!("TLS with {place}: {error}"))?, request).await
            }
        }
    }
}

impl Forward {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let pods = self.pods.list(&ListParams::default().labels(&self.selector)).await;
        let pods = pods.map_err(|error| format!("list the Service's pods: {error}"))?;
        let ready = pods.items.iter().filter(|pod| is_ready(pod));
        // The youngest is of the new version.
        let pod = ready.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let pod = pod.ok_or("no pod behind the Service is ready")?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let port = address::container_port(pod, &self.port);
        let port = port.ok_or_else(|| format!("pod {name} has no port of the name that the Service uses"))?;
        let forwarder = self.pods.portforward(name, &[port]).await;
        let mut forwarder = forwarder.map_err(|error| format!("forward port {port} of pod {name}: {error}"))?;
        let stream = forwarder.take_stream(port).ok_or("the API server forwards nothing")?;
        let refused = forwarder.take_error(port);
        let answer = exchange(stream, request).await;
        forwarder.abort();
        match (answer, refused) {
            (Ok(answer), _) => Ok(answer),
            (Err(why), Some(refused)) => {
                let said = tokio::time::timeout(std::time::Duration::from_millis(100), refused).await;
                Err(format!("port {port} of pod {name}: {}", said.ok().flatten().unwrap_or(why)))
            }
            (Err(why), None) => Err(format!("port {port} of pod {name}: {why}")),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, way, .. } = self;
        let way = match way {
            Way::Direct(instead) => format!("by way of {instead:?}"),
            Way::Forwarded(_) => "forwarded".to_owned(),
        };
        write!(formatter, "{url} {way}")
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What certificates are checked against: the authorities that browsers trust.
fn tls() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

async fn exchange<S>(stream: S, mut request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // A server wants the path alone, and the host beside it.
    if let (Some(authority), false) = (request.uri().authority(), request.headers().contains_key(header::HOST)) {
        let host = authority.as_str().parse().map_err(|_| "the host is no header".to_owned())?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| chain(&error))?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| error.to_string())?;
        let headers = answer::telling(&parts.headers);
        Ok(Answer { status: parts.status.as_u16(), headers, body: body.to_bytes() })
    };
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may end first, with the answer read.
        _ = &mut connection => exchange.await,
    }
}

/// An error and what is behind it: the outermost says only `client error (Connect)`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
