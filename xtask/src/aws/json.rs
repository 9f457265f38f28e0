//! Requests of AWS's JSON protocol, for Secrets Manager and Parameter Store: two calls of each are needed, and the SDK's
//! crate for the second is one of its largest (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).

use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::refusal::{self, log_in};
use crate::{
    config::Aws,
    error::{Error, Result},
    transport::Transport,
};

/// The pauses between requests that AWS has too many of; it says that with status 400.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// A service that speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    /// Systems Manager, of which Parameter Store is a part.
    Systems,
}

impl Service {
    /// Its name in hosts, signatures and IAM actions.
    fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Systems => "ssm",
        }
    }

    /// Its name before operations.
    fn target(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Systems => "AmazonSSM",
        }
    }
}

/// Speaks to these services. What they answer may be secret, so no error holds it.
pub(crate) struct Client {
    aws: Aws,
    credentials: SharedCredentialsProvider,
    transport: Transport,
}

impl Client {
    /// Who we are, which must be somebody in the configured account.
    ///
    /// # Errors
    /// As of [`super::connect`].
    pub(crate) async fn connect(aws: &Aws) -> Result<Self> {
        let config = super::connect(aws).await?;
        let credentials =
            config.credentials_provider().ok_or_else(|| Error::failed("find credentials for AWS").hint(log_in(aws)))?;
        // An emulator is on this machine and has no certificate.
        let transport = if aws.endpoint.is_some() { Transport::plain() } else { Transport::new(true)? };
        Ok(Self { aws: aws.clone(), credentials, transport })
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// AWS refuses it, or does not answer.
    pub(crate) async fn call(&self, doing: &str, service: Service, operation: &str, input: &Value) -> Result<Value> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let response = self.send(doing, service, operation, input).await?;
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if response.status().is_success() {
                return Ok(body);
            }
            // `com.amazonaws.ssm#ParameterNotFound`
            let code = body["__type"].as_str().unwrap_or_default();
            let code = code.rsplit('#').next().unwrap_or_default();
            let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
            match pauses.next().filter(|_| refusal::is_throttled(code)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let status = response.status().to_string();
                    let code = if code.is_empty() { &status } else { code };
                    let action = format!("{}:{operation}", service.name());
                    return Err(refusal::answered(doing.to_owned(), &action, &self.aws, code, message));
                }
            }
        }
    }

    async fn send(
        &self,
        doing: &str,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> Result<http::Response<Bytes>> {
        let failed = |error: &dyn std::error::Error| Error::failed(doing).source(error);
        let Aws { region, endpoint, .. } = &self.aws;
        let own = || format!("https://{}.{region}.{}", service.name(), super::domain(region));
        let url = format!("{}/", endpoint.clone().unwrap_or_else(own));
        let host = url.split('/').nth(2).unwrap_or_default();
        let target = format!("{}.{operation}", service.target());
        let body = Bytes::from(input.to_string());
        let headers =
            [("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];

        let credentials = self.credentials.provide_credentials().await;
        let identity = credentials.map_err(|error| failed(&error).hint(log_in(&self.aws)))?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service.name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let signable = SignableRequest::new("POST", url.as_str(), headers.into_iter(), SignableBody::Bytes(&body));
        let signed = signable.and_then(|request| sign(request, &parameters)).map_err(|error| failed(&error))?;
        let mut request = Request::post(&url);
        // The client adds the host by itself.
        for (name, value) in headers.into_iter().skip(1) {
            request = request.header(name, value);
        }
        let mut request = request.body(body.clone()).map_err(|error| failed(&error))?;
        signed.into_parts().0.apply_to_request_http1x(&mut request);
        self.transport.send(doing, || Ok(request.clone())).await
    }
}
