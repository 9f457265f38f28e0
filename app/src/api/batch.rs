//! Many texts in one request, answered as they arrive.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{
    Input, Output, SHAPE,
    split::{Item, Kind, Malformed, Splitter},
};
use crate::{
    State, body,
    media::{self, Form},
    problem::Problem,
};

/// `POST /v1/batch`: each item is answered as `POST /v1` would answer it, in its place; one that is refused, by
/// `{"error": problem}`. What is no JSON array any more ends with such an error.
#[utoipa::path(
    post,
    path = "/v1/batch",
    tag = "api",
    summary = "Reverse and upcase many texts",
    request_body(content((Vec<serde_json::Value> = "application/json", example = json!([{"data": "reverse me"}])), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "For each text its answer or `{\"error\": problem}`, in order, as they are ready.",
            content((Vec<serde_json::Value> = "application/json"), (String = "application/x-ndjson"))),
        (status = 406, description = "The answer comes in the form of the batch, which the client does not take."),
    ),
)]
pub(crate) async fn batch(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = media::given(&headers, &[Form::Json, Form::Lines])?;
    media::wanted(&headers, &[form])?;
    let mut batch = Batch::new(state, form, body);
    // A status can be given as long as nothing has been answered.
    let first = batch.next().await;
    if let Some(refused) = batch.refused.take() {
        return Err(refused);
    }
    let rest = stream::unfold(batch, |mut batch| async move { batch.next().await.map(|bytes| (bytes, batch)) });
    let first = stream::iter(first);
    let answer = first.chain(rest).map(Ok::<_, Infallible>);
    Ok(([(header::CONTENT_TYPE, form.media_type())], Body::from_stream(answer)).into_response())
}

struct Batch {
    state: Arc<State>,
    kind: Kind,
    body: Option<Body>,
    splitter: Splitter,
    received: usize,
    items: u64,
    /// What ended it before anything was answered.
    refused: Option<Problem>,
    deadline: Instant,
}

impl Batch {
    fn new(state: Arc<State>, form: Form, body: Body) -> Self {
        let kind = if form == Form::Lines { Kind::Lines } else { Kind::Array };
        let splitter = Splitter::new(kind, state.config.limits.body);
        let deadline = Instant::now() + state.config.limits.batch_timeout;
        Self { state, kind, body: Some(body), splitter, received: 0, items: 0, refused: None, deadline }
    }

    /// What can be answered next: all that comes with one piece of the body.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            let mut body = self.body.take()?;
            match self.piece(&mut body).await {
                Ok(Some(piece)) => {
                    self.body = Some(body);
                    if let Err(problem) = self.answer(&piece, &mut out).await {
                        self.finish(Some(problem), &mut out);
                    }
                }
                Ok(None) => {
                    let refused = match self.splitter.end() {
                        Ok(Some(item)) => self.put(item, &mut out).await.err(),
                        Ok(None) => None,
                        Err(malformed) => Some(no_array(&malformed)),
                    };
                    self.finish(refused, &mut out);
                }
                Err(problem) => self.finish(Some(problem), &mut out),
            }
        }
        Some(out.into())
    }

    /// The next piece of the body, which must come in time.
    async fn piece(&mut self, body: &mut Body) -> Result<Option<Bytes>, Problem> {
        let limits = &self.state.config.limits;
        let patience = self.deadline.min(Instant::now() + limits.request_timeout);
        loop {
            let frame = timeout_at(patience, body.frame()).await.map_err(|_| {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "the next part of the batch did not come in time")
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let cut = |error| Problem::new(StatusCode::BAD_REQUEST, format!("the batch was cut off: {error}"));
            let Ok(piece) = frame.map_err(cut)?.into_data() else { continue };
            self.received = self.received.saturating_add(piece.len());
            if self.received > limits.batch {
                let detail = format!("a batch has {} bytes at most", limits.batch);
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            return Ok(Some(piece));
        }
    }

    async fn answer(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
        while let Some(item) = self.splitter.next(&mut piece).map_err(|malformed| no_array(&malformed))? {
            self.put(item, out).await?;
        }
        Ok(())
    }

    /// Answers an item.
    ///
    /// # Errors
    /// If it shows that the whole is no array of JSON.
    async fn put(&mut self, item: Item, out: &mut Vec<u8>) -> Result<(), Problem> {
        let answer = match item {
            Item::TooLarge => {
                let detail = format!("an item has {} bytes at most", self.state.config.limits.body);
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
            }
            Item::Text(item) => match body::json::<Input<'_>>(&item, SHAPE) {
                Ok(input) => self.state.upcaser.reverse_upcase(&input.data).await,
                Err(problem) => Err(problem),
            },
        };
        match answer {
            Ok(data) => self.write(&Output { data }, out),
            Err(problem) if self.kind == Kind::Array && problem.status() == StatusCode::BAD_REQUEST => {
                return Err(problem);
            }
            Err(problem) => self.write(&json!({"error": problem.json()}), out),
        }
        Ok(())
    }

    fn write(&mut self, answer: &impl serde::Serialize, out: &mut Vec<u8>) {
        if self.kind == Kind::Array {
            out.push(if self.items == 0 { b'[' } else { b',' });
        }
        // Writing to memory does not fail, and there are no keys but texts.
        let _ = serde_json::to_writer(&mut *out, answer);
        if self.kind == Kind::Lines {
            out.push(b'\n');
        }
        self.items += 1;
    }

    /// Ends the answer; nothing comes after it.
    fn finish(&mut self, refused: Option<Problem>, out: &mut Vec<u8>) {
        self.body = None;
        match refused {
            Some(refused) if self.items == 0 => {
                self.refused = Some(refused);
                return;
            }
            Some(refused) => self.write(&json!({"error": refused.json()}), out),
            None => {}
        }
        if self.kind == Kind::Array {
            out.extend_from_slice(if self.items == 0 { b"[]" } else { b"]" });
        }
    }
}

fn no_array(malformed: &Malformed) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON array at byte {}", malformed.0))
}
