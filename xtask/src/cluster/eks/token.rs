//! The token that a cluster's API takes: a request to STS for who we are, signed and not sent. Whoever has it may ask
//! STS that in our name, so it is a secret
//! (<https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_sts::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Request, header};
use kube::client::Body;
use tokio::{sync::Mutex, time::Instant};
use tower::BoxError;

use crate::{
    aws,
    config::Eks,
    error::{Error, Result},
    ui::Secret,
};

/// How long the signed request could be sent; the cluster takes the token for longer.
const EXPIRES: Duration = Duration::from_secs(60);
/// How long a cluster takes a token is 15 minutes: a minute less is left for clocks that differ.
pub const LIFETIME: Duration = Duration::from_secs(14 * 60);

/// Makes tokens for one cluster.
#[derive(Debug, Clone)]
pub struct Tokens {
    credentials: SharedCredentialsProvider,
    region: String,
    cluster: String,
}

impl Tokens {
    /// Tokens of whoever these credentials are.
    pub(super) fn new(credentials: SharedCredentialsProvider, eks: &Eks) -> Self {
        Self { credentials, region: eks.aws.region.clone(), cluster: eks.name.clone() }
    }

    /// A new token.
    ///
    /// # Errors
    /// There are no credentials.
    pub async fn make(&self) -> Result<Secret> {
        let failed = |error: &dyn std::error::Error| {
            Error::failed(format!("make a token for the cluster {}", self.cluster))
                .source(error)
                .hint("log in to AWS: aws sso login, or set AWS_PROFILE")
        };
        let credentials = self.credentials.provide_credentials().await.map_err(|error| failed(&error))?;
        let host = format!("sts.{}.{}", self.region, aws::domain(&self.region));
        let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(EXPIRES);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sts")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let headers = [("host", host.as_str()), ("x-k8s-aws-id", self.cluster.as_str())];
        let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::empty());
        let signed = request.and_then(|request| sign(request, &parameters)).map_err(|error| failed(&error))?;
        let mut request = Request::builder().uri(url).body(()).map_err(|error| failed(&error))?;
        signed.into_parts().0.apply_to_request_http1x(&mut request);
        Ok(Secret::new(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()))))
    }
}

/// Puts a token into each request, a new one before the old one ends: a rollout may take longer than one lasts.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    tokens: Tokens,
    last: Arc<Mutex<Option<(Instant, HeaderValue)>>>,
}

impl Bearer {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, last: Arc::default() }
    }

    pub(super) async fn sign(self, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
        let mut last = self.last.lock().await;
        let value = match last.as_ref().filter(|(made, _)| made.elapsed() < LIFETIME) {
            Some((_, value)) => value.clone(),
            None => {
                let token = self.tokens.make().await?;
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))?;
                value.set_sensitive(true);
                *last = Some((Instant::now(), value.clone()));
                value
            }
        };
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(request)
    }
}
