//! What S3 refuses, told to the log and to the client.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use axum::http::StatusCode;

use crate::problem::{Problem, causes};

/// 503 if S3 can't be reached or says that it is busy, so that it may be tried again; 502 for anything else that it
/// answers. What it says goes to the log: it has names of accounts in it.
pub(super) fn refuse<E>(doing: &str, error: &SdkError<E>) -> Problem
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    tracing::warn!(doing, error = words(error), "S3");
    let SdkError::ServiceError(answer) = error else {
        return Problem::unavailable("S3 can't be reached now");
    };
    match answer.raw().status().as_u16() {
        429 | 503 => Problem::unavailable("S3 is busy"),
        status => {
            let code = answer.err().code().unwrap_or("no code");
            Problem::new(StatusCode::BAD_GATEWAY, format!("S3 answered {status}, {code}"))
        }
    }
}

pub(super) fn words<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    causes(error)
}
