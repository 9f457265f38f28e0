//! Whose token it is, asked of somebody else: the API server's webhook token authenticator
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication>).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::api::User;

/// How long an answer holds: `--authentication-token-webhook-cache-ttl`.
const KEPT: Duration = Duration::from_secs(120);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The webhook, and what it said of late.
#[derive(Debug)]
pub(super) struct Webhook {
    address: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    /// By the hash of the token, so that no token stays in memory.
    answers: Mutex<HashMap<[u8; 32], (Instant, User)>>,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    cluster: Cluster,
}

#[derive(Deserialize)]
struct Cluster {
    server: String,
}

impl Webhook {
    /// The webhook that a kubeconfig names.
    ///
    /// # Errors
    /// It names none that can be asked here.
    pub(super) fn of_kubeconfig(text: &str) -> Result<Self, String> {
        let kubeconfig: Kubeconfig = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let server = kubeconfig.clusters.into_iter().next().ok_or("it names no cluster")?.cluster.server;
        // The address is a secret: it says who may ask.
        let address: Uri = server.parse().map_err(|_| "its server is no address")?;
        if address.scheme_str() != Some("http") {
            return Err("its server is not reached over http, and nothing else is spoken here".to_owned());
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { address, client, answers: Mutex::default() })
    }

    /// Whose token it is; none if it is nobody's, or nobody says.
    pub(super) async fn of_token(&self, token: &str) -> Option<User> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let known =
            self.answers().get(&hash).filter(|(until, _)| *until > Instant::now()).map(|(_, user)| user.clone());
        if known.is_some() {
            return known;
        }
        let user = match timeout(PATIENCE, self.ask(token)).await {
            Ok(Ok(user)) => user?,
            Ok(Err(error)) => {
                tracing::warn!(error, "the webhook does not say whose token it is");
                return None;
            }
            Err(_) => {
                tracing::warn!("the webhook does not answer");
                return None;
            }
        };
        let mut answers = self.answers();
        answers.retain(|_, (until, _)| *until > Instant::now());
        answers.insert(hash, (Instant::now() + KEPT, user.clone()));
        Some(user)
    }

    async fn ask(&self, token: &str) -> Result<Option<User>, String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(review.to_string()))
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let review: Value = serde_json::from_slice(&body).map_err(|_| format!("it answers {status}"))?;
        if review["status"]["authenticated"] != true {
            return Ok(None);
        }
        User::of_review(&review["status"]["user"]).map(Some).ok_or_else(|| "its user has no name".to_owned())
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (Instant, User)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
