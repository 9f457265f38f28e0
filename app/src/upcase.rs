//! Upper-casing by this service, or by another one.

mod breaker;
mod budget;
mod client;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};

use crate::{cache::Cached, config, metrics::Metrics, problem::Problem, text};
use client::Client;

/// Who upper-cases.
#[derive(Debug)]
pub enum Upcaser {
    /// This service.
    Native,
    /// SHOUTCLOUD, or what speaks like it.
    External(Box<External>),
}

/// Another service, and what it has answered before.
#[derive(Debug)]
pub struct External {
    client: Client,
    cached: Cached,
    fallback: bool,
}

/// Why the other service gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It can't be reached, or closes the connection.
    #[error("the upcasing service can't be reached")]
    Unreachable,
    /// It answers that it can't just now.
    #[error("the upcasing service answers {0}")]
    Unavailable(StatusCode),
    /// It answers something that is no answer.
    #[error("the upcasing service gives a wrong answer: {0}")]
    Wrong(String),
    /// It takes too long.
    #[error("the upcasing service does not answer in time")]
    Slow,
    /// It failed so often that it is left alone for this long.
    #[error("the upcasing service has failed repeatedly and is left alone for now")]
    LeftAlone(Duration),
    /// There are too many requests to it already.
    #[error("there are too many requests to the upcasing service")]
    Busy,
}

impl Upcaser {
    /// As configured. Nobody is asked yet.
    pub fn new(upcase: &config::Upcase, cache: &config::Cache, metrics: &Metrics) -> Self {
        let Some(url) = &upcase.shoutcloud else { return Self::Native };
        let client = Client::new(url.clone(), upcase, metrics.clone());
        Self::External(Box::new(External {
            client,
            cached: Cached::new(cache, metrics.clone()),
            fallback: upcase.fallback,
        }))
    }

    /// Reverses and upper-cases a text.
    ///
    /// # Errors
    /// 502, 503 or 504 when the other service does not do its part.
    pub async fn reverse_upcase(&self, text: &str) -> Result<String, Problem> {
        match self {
            Self::Native => Ok(text::reverse_upcase(text)),
            Self::External(external) => external.reverse_upcase(text).await,
        }
    }
}

impl External {
    async fn reverse_upcase(&self, text: &str) -> Result<String, Problem> {
        // What would be other clusters in upper case is reversed before: see text::reverse_upcase.
        let reversed = text::reverse(text);
        let answer = self.cached.get(&reversed, || self.client.upcase(&reversed)).await;
        match answer {
            Ok(upper) => Ok(upper.to_string()),
            Err(_) if self.fallback => Ok(text::reverse_upcase(text)),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Failure {
    /// What it is counted as.
    fn name(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unavailable(_) => "unavailable",
            Self::Wrong(_) => "wrong",
            Self::Slow => "slow",
            Self::LeftAlone(_) => "left_alone",
            Self::Busy => "busy",
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let detail = failure.to_string();
        match failure {
            Failure::Unreachable | Failure::Unavailable(_) | Failure::Wrong(_) => {
                Self::new(StatusCode::BAD_GATEWAY, detail)
            }
            Failure::Slow => Self::new(StatusCode::GATEWAY_TIMEOUT, detail),
            Failure::Busy => Self::unavailable(detail),
            Failure::LeftAlone(pause) => {
                let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds))
            }
        }
    }
}
