//! What the environment says, read in this one place and checked as a whole before anything starts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tracing::Level;

/// The service's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `ADDRESS` and `PORT`: where it listens, by default 0.0.0.0:8080. Port 0 takes a free one.
    pub address: SocketAddr,
    /// `APP_VERSION`: what it calls itself, by default the version of the package.
    pub version: String,
    /// `LOG_LEVEL`: error, warn, info (the default), debug or trace. Requests are logged at debug.
    pub log_level: Level,
    /// `DRAIN_DELAY`: for how long it serves on after SIGTERM, for load balancers to notice, by default 5s.
    pub drain_delay: Duration,
    /// `DRAIN_TIMEOUT`: when it ends after SIGTERM at the latest, by default 25s: Kubernetes kills after 30.
    pub drain_timeout: Duration,
    /// `HEADER_TIMEOUT`: how long a connection may take to send the head of a request, at rest included, by default
    /// 75s: longer than the 60s after which load balancers drop a connection, so that it is never closed under them.
    pub header_timeout: Duration,
    /// `REQUEST_TIMEOUT`: how long a request may take, its body included, by default 10s.
    pub request_timeout: Duration,
}

impl Config {
    /// Reads the process' environment.
    ///
    /// # Errors
    /// One line for each setting that is wrong.
    pub fn from_env() -> Result<Self, Vec<String>> {
        #[expect(clippy::disallowed_methods, reason = "this is the one file that reads it")]
        Self::parse(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Takes the settings from where `get` finds them; an empty one counts as not set.
    ///
    /// # Errors
    /// One line for each setting that is wrong.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut read = Reader { get: &get, errors: &mut errors };
        let ip =
            read.setting("ADDRESS", "an IP address", IpAddr::from(Ipv4Addr::UNSPECIFIED), |text| text.parse().ok());
        let port = read.setting("PORT", "a port from 0 to 65535", 8080, |text| text.parse().ok());
        let version =
            read.setting("APP_VERSION", "visible ASCII characters", env!("CARGO_PKG_VERSION").to_owned(), |text| {
                text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
            });
        let levels = "error, warn, info, debug or trace";
        let log_level = read.setting("LOG_LEVEL", levels, Level::INFO, |text| match text {
            "error" => Some(Level::ERROR),
            "warn" => Some(Level::WARN),
            "info" => Some(Level::INFO),
            "debug" => Some(Level::DEBUG),
            "trace" => Some(Level::TRACE),
            _ => None,
        });
        let drain_delay = read.duration("DRAIN_DELAY", Duration::from_secs(5));
        let drain_timeout = read.duration("DRAIN_TIMEOUT", Duration::from_secs(25));
        let header_timeout = read.duration("HEADER_TIMEOUT", Duration::from_secs(75));
        let request_timeout = read.duration("REQUEST_TIMEOUT", Duration::from_secs(10));
        if drain_timeout < drain_delay {
            errors.push(format!("DRAIN_TIMEOUT ({drain_timeout:?}) must not be below DRAIN_DELAY ({drain_delay:?})"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let address = SocketAddr::new(ip, port);
        Ok(Self { address, version, log_level, drain_delay, drain_timeout, header_timeout, request_timeout })
    }
}

struct Reader<'a, G> {
    get: &'a G,
    errors: &'a mut Vec<String>,
}

impl<G: Fn(&str) -> Option<String>> Reader<'_, G> {
    fn setting<T>(&mut self, name: &str, what: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(text) = (self.get)(name).filter(|text| !text.is_empty()) else { return default };
        parse(&text).unwrap_or_else(|| {
            self.errors.push(format!("{name} must be {what}, got {text:?}"));
            default
        })
    }

    fn duration(&mut self, name: &str, default: Duration) -> Duration {
        self.setting(name, "a duration such as 5s or 500ms, an hour at most", default, duration)
    }
}

/// A whole number of `ms`, `s` or `m`; a bare number counts seconds.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().ok()?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    };
    (duration <= Duration::from_secs(3600)).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let get = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::parse(get)
    }

    #[test]
    fn everything_has_a_default() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.address.to_string(), "0.0.0.0:8080");
        assert_eq!((config.drain_delay, config.drain_timeout), (Duration::from_secs(5), Duration::from_secs(25)));
        assert_eq!(parse(&[("PORT", ""), ("LOG_LEVEL", "")]).unwrap(), config);
    }

    #[test]
    fn settings_are_taken() {
        let settings = [
            ("ADDRESS", "::1"),
            ("PORT", "0"),
            ("APP_VERSION", "4f2c1e9"),
            ("LOG_LEVEL", "debug"),
            ("DRAIN_DELAY", "250ms"),
            ("DRAIN_TIMEOUT", "2m"),
            ("REQUEST_TIMEOUT", "3"),
        ];
        let config = parse(&settings).unwrap();
        assert_eq!(config.address.to_string(), "[::1]:0");
        assert_eq!(config.version, "4f2c1e9");
        assert_eq!(config.log_level, Level::DEBUG);
        assert_eq!(config.drain_delay, Duration::from_millis(250));
        assert_eq!(config.drain_timeout, Duration::from_secs(120));
        assert_eq!(config.request_timeout, Duration::from_secs(3));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let settings = [
            ("ADDRESS", "localhost"),
            ("PORT", "65536"),
            ("APP_VERSION", "a b"),
            ("LOG_LEVEL", "loud"),
            ("DRAIN_DELAY", "30s"),
            ("HEADER_TIMEOUT", "1h"),
            ("REQUEST_TIMEOUT", "99999999999999999999s"),
        ];
        let duration = "must be a duration such as 5s or 500ms, an hour at most";
        let expected = [
            r#"ADDRESS must be an IP address, got "localhost""#.to_owned(),
            r#"PORT must be a port from 0 to 65535, got "65536""#.to_owned(),
            r#"APP_VERSION must be visible ASCII characters, got "a b""#.to_owned(),
            r#"LOG_LEVEL must be error, warn, info, debug or trace, got "loud""#.to_owned(),
            format!(r#"HEADER_TIMEOUT {duration}, got "1h""#),
            format!(r#"REQUEST_TIMEOUT {duration}, got "99999999999999999999s""#),
            "DRAIN_TIMEOUT (25s) must not be below DRAIN_DELAY (30s)".to_owned(),
        ];
        assert_eq!(parse(&settings).unwrap_err(), expected);
    }
}
