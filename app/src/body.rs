//! Reading the body of a request, within its limits.

use std::{ops::Deref, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, de::IgnoredAny};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// What is read and thrown away of a body that is too large, in multiples of the limit. A client that is still sending
/// when the connection closes may never see the answer that tells it why.
const DISCARDED: usize = 8;

/// Bodies up to this size are bounded by the number of requests under way; larger ones share a budget.
const SMALL: usize = 64 * 1024;

/// The unit of the budget, in bytes: permits are counted in 32 bits.
const UNIT: usize = 1024;

/// How large bodies may be, one and all together.
#[derive(Debug)]
pub struct Bodies {
    limit: usize,
    large: Arc<Semaphore>,
}

/// A body, and its share of the budget.
#[derive(Debug)]
pub struct Bytes {
    bytes: Vec<u8>,
    share: Option<OwnedSemaphorePermit>,
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bytes {
    /// Keeps the share for as long as the answer, which is about as large, is not sent.
    pub fn hold(self, answer: Response) -> Response {
        let Some(share) = self.share else { return answer };
        answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _held = &share;
                frame
            }))
        })
    }
}

impl Bodies {
    /// One has `limit` bytes at most, and those larger than 64 KiB have `together`.
    pub fn new(limit: usize, together: usize) -> Self {
        Self { limit, large: Arc::new(Semaphore::new((together / UNIT).min(Semaphore::MAX_PERMITS))) }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// 413 if it is too large, 400 if it ends early, 503 if there are too many large ones just now.
    pub async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Problem> {
        let limit = self.limit;
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has {limit} bytes at most"));
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) && headers.contains_key(header::EXPECT) {
            // The client waits to be told to go on, and is not.
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(limit).min(SMALL));
        let mut share = None;
        let mut received = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body was cut off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            received = received.saturating_add(data.len());
            if received > limit.saturating_mul(DISCARDED) {
                break;
            }
            if received > SMALL && received <= limit && share.is_none() {
                // An announcement is no more than that.
                let most = announced.map_or(limit, |length| length.clamp(received, limit));
                share = Some(self.share(most)?);
                bytes.reserve_exact(most - bytes.len());
            }
            if received <= limit {
                bytes.extend_from_slice(&data);
            } else {
                bytes = Vec::new();
            }
        }
        if received > limit { Err(too_large()) } else { Ok(Bytes { bytes, share }) }
    }

    fn share(&self, size: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let share = self.large.clone().try_acquire_many_owned(units);
        share.map_err(|_| Problem::unavailable("there are too many large bodies under way"))
    }
}

/// Reads a value from JSON; `shape` shows what it must look like.
///
/// # Errors
/// 400 for what is no JSON at all, 422 for JSON of another shape.
pub fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], shape: &str) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| refuse(bytes, &error, shape))
}

/// What is no JSON at all is malformed; JSON of another shape was understood and can't be processed.
fn refuse(bytes: &[u8], error: &serde_json::Error, shape: &str) -> Problem {
    // A wrong shape is found before what follows it has been parsed.
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
        Ok(_) if error.is_data() => {
            let detail = format!("the body must be {shape}: {error}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        Ok(_) => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use axum::response::IntoResponse as _;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Input<'a> {
        #[serde(borrow, rename = "data")]
        _data: Cow<'a, str>,
    }

    #[test]
    fn malformed_and_misshapen_are_told_apart() {
        let status = |text: &str| {
            let bytes = text.as_bytes();
            json::<Input<'_>>(bytes, "{}").err().map(|problem| problem.into_response().status())
        };
        for good in [r#"{"data":""}"#, r#"{"data":"\u00df","more":[1]}"#, " {\"data\":\"x\"}\n"] {
            assert_eq!(status(good), None, "{good}");
        }
        for malformed in
            ["", "{", r#"{"data":"x"} y"#, r#"{"data":5,"#, r#"{"data":"\ud800"}"#, "{'data':1}", "\u{feff}{}"]
        {
            assert_eq!(status(malformed), Some(StatusCode::BAD_REQUEST), "{malformed}");
        }
        for misshapen in
            ["null", "[]", "{}", r#""x""#, r#"{"data":5}"#, r#"{"data":null}"#, r#"{"data":"a","data":"b"}"#]
        {
            assert_eq!(status(misshapen), Some(StatusCode::UNPROCESSABLE_ENTITY), "{misshapen}");
        }
    }
}
