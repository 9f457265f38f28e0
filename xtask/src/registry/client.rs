//! What is asked of a registry apart from Docker's push (distribution-spec 1.1, "Pulling manifests").

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    challenge::{self, Challenge},
    credentials::{self, Login},
    docker_config, token,
    words::{asking, said},
};
use crate::{
    config::Generic,
    error::{Error, Result},
    image::reference::{Digest, Repository},
    transport::Transport,
    ui::Secret,
};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) config: Option<Digest>,
    pub(super) layers: usize,
}

/// What is asked of a registry.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) header: (HeaderName, &'a str),
    pub(super) body: Bytes,
}

impl<'a> Question<'a> {
    pub(super) fn get(url: &'a str) -> Self {
        Self { method: Method::GET, url, header: (header::ACCEPT, ACCEPT), body: Bytes::new() }
    }
}

/// What a registry says about a manifest.
#[derive(Debug)]
pub(super) enum Answer {
    Found(Manifest),
    Absent,
    /// Whoever asks may not see it, or it is not there: many registries don't tell which.
    Refused(Error),
}

/// A client of one registry, with what it shows there.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport,
    /// `https://host:port`
    base: String,
    login: Login,
    /// `pull` or `pull,push`
    actions: &'static str,
    /// What to do when the registry refuses.
    remedy: Option<String>,
    /// The header that was accepted last.
    authorization: Mutex<Option<Secret>>,
}

impl Client {
    /// The local environment's registry, which asks for nothing.
    pub(super) fn local(address: SocketAddr) -> Self {
        Self {
            transport: Transport::plain(),
            base: format!("http://{address}"),
            login: Login::Anonymous,
            actions: "pull",
            remedy: None,
            authorization: Mutex::default(),
        }
    }

    /// For asking about what is pushed with this login.
    pub(super) fn pushing(generic: &Generic, login: Login) -> Result<Self> {
        let client = Self { login, actions: "pull,push", ..Self::anonymous(generic)? };
        Ok(Self { remedy: Some(credentials::remedy(generic)), ..client })
    }

    /// For asking what everybody may see.
    pub(super) fn anonymous(generic: &Generic) -> Result<Self> {
        let base = base(generic);
        let transport = Transport::new(base.starts_with("https:"))?;
        let (login, authorization) = (Login::Anonymous, Mutex::default());
        Ok(Self { transport, base, login, actions: "pull", remedy: None, authorization })
    }

    /// What the registry says about the manifest by this tag or digest.
    ///
    /// # Errors
    /// It does not answer, or in words that mean nothing.
    pub(super) async fn manifest(&self, repository: &Repository, reference: &str) -> Result<Answer> {
        let path = path(repository);
        let url = format!("{}/v2/{path}/manifests/{reference}", self.base);
        let failed = || Error::failed(format!("ask the registry for {url}"));
        let response = self.ask(&path, &Question::get(&url)).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Answer::Absent),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let error = failed().cause(said(&response));
                return Ok(Answer::Refused(match &self.remedy {
                    Some(remedy) => error.hint(remedy),
                    None => error,
                }));
            }
            _ => return Err(failed().cause(said(&response))),
        }
        let body = response.into_body();
        let manifest: Value = serde_json::from_slice(&body).map_err(|error| failed().source(&error))?;
        let config = manifest.pointer("/config/digest").and_then(Value::as_str);
        Ok(Answer::Found(Manifest {
            // Computed, not believed.
            digest: Digest::of(&body),
            config: config.and_then(|digest| digest.parse().ok()),
            layers: manifest["layers"].as_array().map_or(0, Vec::len),
        }))
    }

    /// A refusal by this registry that somebody else met, with what to do about it.
    pub(super) fn refused(&self, error: Error) -> Error {
        const WORDS: [&str; 5] = ["denied", "unauthorized", "authentication required", "forbidden", "no basic auth"];
        let said = error.to_string().to_lowercase();
        match &self.remedy {
            Some(remedy) if WORDS.iter().any(|word| said.contains(word)) => error.hint(remedy),
            _ => error,
        }
    }

    /// Asks, and proves who asks when the registry wants to know; the last answer is what counts.
    pub(super) async fn ask(&self, path: &str, question: &Question<'_>) -> Result<Response<Bytes>> {
        let known = self.authorization.lock().await.clone();
        let response = self.send(question, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let challenges: Vec<_> = headers.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
        for challenge in challenges {
            let authorization = match (&challenge, &self.login) {
                (Challenge::Basic, Login::Basic { username, password }) => token::basic(username, password),
                (Challenge::Basic, Login::Anonymous | Login::Identity(_)) => continue,
                (Challenge::Bearer { realm, service }, login) => {
                    self.may_be_told(realm)?;
                    let scope = format!("repository:{path}:{}", self.actions);
                    let wanted = token::Wanted { realm, service: service.as_deref(), scope: &scope };
                    match token::buy(&self.transport, &wanted, login).await? {
                        Ok(token) => token,
                        Err(refused) => return Ok(refused),
                    }
                }
            };
            let response = self.send(question, Some(&authorization)).await?;
            *self.authorization.lock().await = Some(authorization);
            return Ok(response);
        }
        Ok(response)
    }

    /// A registry behind TLS must not send its visitors' passwords over the open net.
    fn may_be_told(&self, realm: &str) -> Result<()> {
        if realm.starts_with("https://") || self.base.starts_with("http://") && realm.starts_with("http://") {
            return Ok(());
        }
        Err(Error::failed(format!("log in to {}", self.base)).cause(format!("its token server {realm} is not https")))
    }

    /// Asks as nobody in particular, as storage that a registry refers to wants it.
    pub(super) async fn send(
        &self,
        question: &Question<'_>,
        authorization: Option<&Secret>,
    ) -> Result<Response<Bytes>> {
        let Question { method, url, header: (name, value), body } = question;
        let request = || {
            let request = Request::builder().method(method).uri(*url).header(name, *value);
            match authorization {
                Some(authorization) => request.header(header::AUTHORIZATION, authorization.reveal()),
                None => request,
            }
        };
        self.transport.send(&asking(url), || request().body(body.clone())).await
    }

    /// The same, with the patience that whole layers take.
    pub(super) fn patient(self) -> Self {
        Self { transport: self.transport.patient(), ..self }
    }

    /// `https://host:port/v2/PATH`
    pub(super) fn place(&self, repository: &Repository) -> String {
        format!("{}/v2/{}", self.base, path(repository))
    }

    /// Where the registry says that something goes on, which may be a path.
    pub(super) fn location(&self, response: &Response<Bytes>) -> Option<String> {
        let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
        let whole = location.starts_with("http://") || location.starts_with("https://");
        Some(if whole { location.to_owned() } else { format!("{}{location}", self.base) })
    }
}

/// Where a registry answers: over https but on this machine's loopback, unless the configuration says otherwise.
fn base(generic: &Generic) -> String {
    let host = if generic.host == "docker.io" { "registry-1.docker.io" } else { &generic.host };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let scheme = if generic.insecure.unwrap_or(loopback) { "http" } else { "https" };
    format!("{scheme}://{host}")
}

/// Docker Hub's own images have a component that nobody writes.
pub(super) fn path(repository: &Repository) -> String {
    let hub = repository.host().is_some_and(|host| docker_config::server(host) == docker_config::DOCKER_HUB);
    if hub && !repository.path().contains('/') {
        return format!("library/{}", repository.path());
    }
    repository.path().to_owned()
}
