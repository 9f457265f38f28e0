//! Random files, uploaded to a bucket: `POST /api/upload-random?size=N`.

mod multipart;
mod random;
mod refusal;

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{Client, config::Builder, primitives::ByteStream};
use axum::{
    Json, Router,
    extract::{Query, State as Shared, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, Semaphore};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use self::{random::Random, refusal::refuse};
use crate::{State, config, problem::Problem};

/// A file up to this size is one request, a larger one is sent in parts of it. S3 takes no smaller ones than 5 MiB.
const PART: usize = 8 << 20;
/// What is uploaded without a size.
const SIZE: usize = 1 << 20;
/// How long S3 may take for one part.
const ATTEMPT: Duration = Duration::from_secs(20);

/// The bucket of a service that has one.
#[derive(Debug)]
pub struct Bucket {
    config: config::Upload,
    name: String,
    /// Made by the first request: looking for credentials takes time that a start hasn't.
    client: OnceCell<Client>,
    turns: Semaphore,
}

#[derive(Deserialize)]
struct Wanted {
    size: Option<usize>,
}

/// What has been uploaded.
#[derive(Debug, Serialize, ToSchema)]
struct Uploaded {
    /// Where it is.
    bucket: String,
    /// What it is called there.
    #[schema(example = "random/019a")]
    key: String,
    /// Its bytes.
    size: usize,
    /// Of the file, in hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
}

/// Its part of the document.
#[derive(OpenApi)]
#[openapi(paths(upload))]
pub(crate) struct Documented;

/// Its routes; none without a bucket.
pub fn routes(state: &State) -> Router<Arc<State>> {
    if state.bucket.is_none() {
        return Router::new();
    }
    Router::new().route("/api/upload-random", post(upload))
}

impl Bucket {
    /// The configured one, if there is one.
    pub fn new(config: &config::Upload) -> Option<Self> {
        Some(Self {
            name: config.bucket.clone()?,
            config: config.clone(),
            client: OnceCell::new(),
            turns: Semaphore::new(config.concurrency as usize),
        })
    }

    async fn client(&self) -> &Client {
        let connect = || async {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(ATTEMPT)
                .build();
            let loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
            let shared = loader.retry_config(RetryConfig::standard().with_max_attempts(3)).load().await;
            let mut builder = Builder::from(&shared);
            if let Some(endpoint) = &self.config.endpoint {
                builder = builder.endpoint_url(endpoint).force_path_style(true);
            }
            Client::from_conf(builder.build())
        };
        self.client.get_or_init(connect).await
    }

    async fn put(&self, size: usize) -> Result<Uploaded, Problem> {
        let key = format!("random/{}", Uuid::now_v7());
        let client = self.client().await;
        let mut random = Random::new(size);
        if size <= PART {
            let (part, sum) = random.part(PART);
            let request = client.put_object().bucket(&self.name).key(&key).body(ByteStream::from(part));
            // S3 computes it as well, and refuses what arrived otherwise.
            let request = request.checksum_sha256(BASE64_STANDARD.encode(sum));
            request.content_type("application/octet-stream").send().await.map_err(|error| refuse("upload", &error))?;
        } else {
            multipart::put(client, &self.name, &key, &mut random).await?;
        }
        Ok(Uploaded { bucket: self.name.clone(), key, size, sha256: random.sha256() })
    }
}

/// `POST /api/upload-random?size=N`.
#[utoipa::path(
    post,
    path = "/api/upload-random",
    tag = "uploads",
    summary = "Upload a random file",
    params(("size" = Option<usize>, Query, minimum = 1, nullable = false, example = 1000,
        description = "Its bytes: by default 1 MiB, and `UPLOAD_LIMIT` of the service at most.")),
    responses(
        (status = 201, description = "It is in the bucket.", body = Uploaded),
        (status = 400, description = "`size` is not as it must be."),
        (status = 502, description = "S3 refuses."),
    ),
)]
async fn upload(
    Shared(state): Shared<Arc<State>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let bucket = state.bucket.as_ref().ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no bucket"))?;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Query(wanted) = wanted.map_err(|rejection| bad(rejection.body_text()))?;
    let (size, limit) = (wanted.size.unwrap_or(SIZE), bucket.config.limit);
    if !(1..=limit).contains(&size) {
        return Err(bad(format!("size is from 1 to {limit} bytes")));
    }
    let Ok(_turn) = bucket.turns.try_acquire() else {
        return Err(Problem::unavailable("as many files as may be are being uploaded"));
    };
    // Before the request's own deadline, whose answer would blame the client.
    let patience = state.config.limits.request_timeout.mul_f32(0.9);
    let put = tokio::time::timeout(patience, bucket.put(size)).await;
    let uploaded = put.map_err(|_| Problem::unavailable("S3 takes too long"))??;
    Ok((StatusCode::CREATED, Json(uploaded)).into_response())
}
