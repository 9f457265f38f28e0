//! Traces to a collector, as OTLP: protobuf over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;

use crate::{config::Telemetry, outward};

/// How long a collector may take. What it does not take is dropped, and no request waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A collector has little to say.
const ANSWER: usize = 64 * 1024;

/// Traces on their way to the collector.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Those of a service that has a collector. A thread of the library sends them in batches.
    ///
    /// # Errors
    /// In words.
    pub fn new(telemetry: &Telemetry) -> Result<Option<Self>, String> {
        let Some(collector) = &telemetry.collector else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client: outward::client(PATIENCE, 1), runtime: Handle::current() })
            .with_endpoint(endpoint(collector))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| format!("preparing traces for {collector}: {error}"))?;
        let resource = Resource::builder()
            .with_service_name(telemetry.service_name.clone())
            .with_attribute(KeyValue::new("service.version", telemetry.version.clone()))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.sampled)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(sampler)
            .build();
        Ok(Some(Self(provider)))
    }

    /// What makes spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("app")
    }

    /// Sends what is left.
    pub async fn end(self) {
        // It waits for a thread that waits for this runtime.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// `OTEL_EXPORTER_OTLP_ENDPOINT` is a base (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
fn endpoint(collector: &Uri) -> String {
    format!("{}/v1/traces", collector.to_string().trim_end_matches('/'))
}

/// The service's own HTTP client, for a thread that is none of the runtime's.
#[derive(Debug)]
struct Client {
    client: outward::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new));
        let exchange = async move {
            let (head, body) = answer.await?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        self.runtime.spawn(async { tokio::time::timeout(PATIENCE, exchange).await? }).await?
    }
}
