//! Who upper-cases.

use std::time::Duration;

use axum::http::Uri;

use super::Reader;

/// Its upper-casing: by this service, or by another one.
#[derive(Debug, Clone)]
pub struct Upcase {
    /// `SHOUTCLOUD_URL`, when `UPCASE` is `shoutcloud`; by default it is `native`, which asks nobody.
    pub shoutcloud: Option<Uri>,
    /// `SHOUTCLOUD_CONNECT_TIMEOUT`: how long a connection to it may take to open, by default 1s.
    pub connect_timeout: Duration,
    /// `SHOUTCLOUD_TIMEOUT`: how long it may take to answer, all attempts together, by default 3s.
    pub timeout: Duration,
    /// `SHOUTCLOUD_RETRIES`: how often it is asked again when it failed in passing, by default 2.
    pub retries: u32,
    /// `SHOUTCLOUD_CONCURRENCY`: how many requests to it are under way at most, by default 64.
    pub concurrency: usize,
    /// `SHOUTCLOUD_BREAKER_FAILURES`: after how many failures in a row it is left alone, by default 5.
    pub breaker_failures: u32,
    /// `SHOUTCLOUD_BREAKER_PAUSE`: for how long it is left alone before it is tried again, by default 5s.
    pub breaker_pause: Duration,
    /// `SHOUTCLOUD_FALLBACK`: whether this service upper-cases itself when the other one can't, by default false.
    pub fallback: bool,
}

impl Upcase {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let external = read.value("UPCASE", "native", "native or shoutcloud", |text| match text {
            "native" => Some(false),
            "shoutcloud" => Some(true),
            _ => None,
        });
        let url = read.url("SHOUTCLOUD_URL");
        read.require(!external || url.is_some(), || "SHOUTCLOUD_URL must be set when UPCASE is shoutcloud".to_owned());
        Self {
            shoutcloud: url.filter(|_| external),
            connect_timeout: read.duration("SHOUTCLOUD_CONNECT_TIMEOUT", "1s"),
            timeout: read.duration("SHOUTCLOUD_TIMEOUT", "3s"),
            retries: read.number("SHOUTCLOUD_RETRIES", "2", 0, 10),
            concurrency: read.number("SHOUTCLOUD_CONCURRENCY", "64", 1, 10_000) as usize,
            breaker_failures: read.number("SHOUTCLOUD_BREAKER_FAILURES", "5", 1, 1000),
            breaker_pause: read.duration("SHOUTCLOUD_BREAKER_PAUSE", "5s"),
            fallback: read.flag("SHOUTCLOUD_FALLBACK", "false"),
        }
    }
}
