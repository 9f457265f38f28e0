//! An upcasing service that does as it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse as _, response::Response,
    routing::post,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinHandle};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    Good,
    /// It never answers.
    Slow,
    /// About another text, no text, no JSON, in turn.
    Wrong,
    /// Every other request fails.
    Flapping,
    /// Every request fails.
    Failing,
}

#[derive(Default)]
struct Told {
    mode: AtomicU8,
    asked: AtomicU32,
}

pub(crate) struct Stub {
    runtime: Runtime,
    pub(crate) address: SocketAddr,
    told: Arc<Told>,
    tls: Option<TlsAcceptor>,
    server: Option<JoinHandle<()>>,
}

impl Stub {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// One that speaks TLS, and its certificate, which nobody has signed but itself.
    pub(crate) fn start_with_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        (Self::start_with(Some(Arc::new(config).into())), made.cert.pem())
    }

    fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let mut stub = Self { runtime, address, told: Arc::default(), tls, server: None };
        stub.serve(listener);
        stub
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/V1/SHOUT", self.address)
    }

    pub(crate) fn be(&self, mode: Mode) {
        self.told.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// How many requests have arrived.
    pub(crate) fn asked(&self) -> u32 {
        self.told.asked.load(Ordering::SeqCst)
    }

    /// Nobody listens any more, and connections are cut.
    pub(crate) fn die(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = self.runtime.block_on(server);
        }
    }

    /// Listens again, at the same address.
    pub(crate) fn live(&mut self) {
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = Router::new().route("/V1/SHOUT", post(shout)).with_state(self.told.clone());
        let tls = self.tls.clone();
        self.server = Some(self.runtime.spawn(async move {
            // Connections are tasks of this one, so that they die with it.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let tls = tls.clone();
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => http.serve_connection(TokioIo::new(stream), service).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
                            http.serve_connection(TokioIo::new(stream), service).await
                        }
                    }
                });
            }
        }));
    }
}

fn json(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn shout(State(told): State<Arc<Told>>, body: Bytes) -> Response {
    let number = told.asked.fetch_add(1, Ordering::SeqCst);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let input = body["INPUT"].as_str().unwrap_or_default();
    let good = json(&json!({"INPUT": input, "OUTPUT": input.to_uppercase()}));
    match told.mode.load(Ordering::SeqCst) {
        mode if mode == Mode::Slow as u8 => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
        mode if mode == Mode::Wrong as u8 => match number % 3 {
            0 => json(&json!({"INPUT": "another", "OUTPUT": "ANOTHER"})),
            1 => json(&json!({"INPUT": input, "OUTPUT": null})),
            _ => "<html>".into_response(),
        },
        mode if mode == Mode::Failing as u8 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        mode if mode == Mode::Flapping as u8 && number % 2 == 0 => StatusCode::BAD_GATEWAY.into_response(),
        _ => good,
    }
}
