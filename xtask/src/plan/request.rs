//! Requests to the API server: retried while it cannot be reached, and put into words when they fail.

use std::time::Duration;

use crate::error::{Error, Result};

/// Pauses between attempts: long enough for a server that is restarting, short enough to be waited for.
const PAUSES: [u64; 5] = [50, 150, 400, 1000, 2000];

/// Sends a request again while the server does not answer or asks to come back.
///
/// Every request of ours may be repeated: an apply, a get or a delete that was done already does nothing more.
pub(crate) async fn retry<T, F>(send: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    for pause in PAUSES {
        match send().await {
            Err(error) if is_transient(&error) => {
                let asked = match &error {
                    kube::Error::Api(status) => {
                        status.details.as_ref().map_or(0, |details| details.retry_after_seconds)
                    }
                    _ => 0,
                };
                let pause = Duration::from_millis(pause).max(Duration::from_secs(u64::from(asked).min(5)));
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
    send().await
}

/// Whether the same request may succeed in a moment.
pub(crate) fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 502 | 503 | 504),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// A failed request, without the debugging form that kube adds to its own message.
pub(crate) fn failed(doing: impl Into<String>, error: &kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => Error::failed(doing).cause(&status.message),
        error if is_transient(error) => {
            Error::failed(doing).source(error).hint("is the cluster there? cargo xtask status")
        }
        error => Error::failed(doing).source(error),
    }
}

/// The answer, or nothing if there is no such object.
pub(crate) fn found<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for our own results.
pub(crate) fn words<T>(doing: impl Into<String>, answer: kube::Result<T>) -> Result<T> {
    answer.map_err(|error| failed(doing, &error))
}
