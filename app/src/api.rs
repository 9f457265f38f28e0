//! The endpoints that reverse and change case.

pub(crate) mod batch;
pub mod split;

use std::{borrow::Cow, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::{
    State, body,
    media::{self, Form},
    problem::Problem,
    query, text,
};

/// What a body in JSON must look like.
const SHAPE: &str = "{\"data\": string}";

/// A text.
#[derive(Deserialize, ToSchema)]
struct Input<'a> {
    /// The text.
    #[serde(borrow)]
    #[schema(value_type = String, example = "reverse me")]
    data: Cow<'a, str>,
}

/// A text reversed and upper-cased.
#[derive(Serialize, ToSchema)]
struct Output {
    /// The text.
    #[schema(example = "EM ESREVER")]
    data: String,
}

/// A text with its case swapped, in reverse.
#[derive(Serialize, ToSchema)]
struct Mirrored {
    /// The text.
    #[schema(example = "52RAbOoF")]
    transformed: String,
}

/// Why there is no answer to a text that is well-formed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what `media` and `upcase` refuse")]
enum Unanswered {
    /// There is no answer in a form that the client takes.
    #[response(status = 406)]
    Form,
    /// The service that upcases can't be reached, or gives a wrong answer.
    #[response(status = 502)]
    Upstream,
    /// The service that upcases takes too long.
    #[response(status = 504)]
    Slow,
}

/// `/`, `/v1`, `/v1/batch`, and `/api/mirror`.
pub fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/", post(transform_at_root))
        .route("/v1", get(usage).post(transform))
        .route("/v1/batch", post(batch::batch))
        .route("/api/mirror", get(mirror))
}

/// `POST /v1`: `{"data": text}` becomes `{"data": text reversed and upper-cased}`; text/plain is taken and given too.
#[utoipa::path(
    post,
    path = "/v1",
    summary = "Reverse and upcase a text",
    request_body(content((Input = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "The text, reversed and upper-cased.",
        content((Output = "application/json"), (String = "text/plain"))), Unanswered),
)]
pub(crate) async fn transform(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let given = media::given(&headers, &[Form::Json, Form::Text])?;
    let other = if given == Form::Json { Form::Text } else { Form::Json };
    let wanted = media::wanted(&headers, &[given, other])?;
    let bytes = state.bodies.read(&headers, body).await?;
    let text = match given {
        Form::Text => Cow::Borrowed(utf8(&bytes)?),
        _ => body::json::<Input<'_>>(&bytes, SHAPE)?.data,
    };
    let data = state.upcaser.reverse_upcase(&text).await?;
    let answer = match wanted {
        Form::Text => data.into_bytes(),
        _ => json(&Output { data })?,
    };
    drop(text);
    Ok(bytes.hold(([(header::CONTENT_TYPE, wanted.media_type())], answer).into_response()))
}

/// `POST /`: as `POST /v1`.
#[utoipa::path(
    post,
    path = "/",
    summary = "As POST /v1",
    request_body(content((Input = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "The text, reversed and upper-cased.",
        content((Output = "application/json"), (String = "text/plain"))), Unanswered),
)]
pub(crate) async fn transform_at_root(
    state: Shared<Arc<State>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    transform(state, headers, body).await
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not UTF-8: {error}")))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// `GET /v1`: how to use it.
#[utoipa::path(
    get,
    path = "/v1",
    summary = "How to use it",
    responses((status = 200, description = "In words.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn usage(Shared(state): Shared<Arc<State>>) -> String {
    let version = &state.config.telemetry.version;
    format!(
        "app {version}: POST {SHAPE} as application/json to have it reversed and upcased, or the text as text/plain; \
         POST /v1/batch takes an array of them, or one a line as application/x-ndjson\n"
    )
}

/// `GET /api/mirror?word=text`: the text with its case swapped, in reverse.
#[utoipa::path(
    get,
    path = "/api/mirror",
    summary = "Swap the case of a text and reverse it",
    params(("word" = String, Query, description = "The text.", example = "fOoBar25")),
    responses(
        (status = 200, description = "The text, mirrored.", body = Mirrored),
        (status = 400, description = "`word` is missing, there twice, or no UTF-8."),
    ),
)]
pub(crate) async fn mirror(uri: Uri) -> Result<Response, Problem> {
    let mirrored = Mirrored { transformed: text::mirror(&query::required(&uri, "word")?) };
    Ok(([(header::CONTENT_TYPE, Form::Json.media_type())], json(&mirrored)?).into_response())
}
