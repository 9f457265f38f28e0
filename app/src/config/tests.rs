//! Settings, right and wrong.

use std::{fs, path::PathBuf, time::Duration};

use tracing::Level;

use super::{Config, Reader, Secret};

fn parse(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let get = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::parse(get)
}

/// A file of settings that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("app-config-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn everything_has_a_default() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.listen.address.to_string(), "0.0.0.0:8080");
    assert_eq!(config.listen.drain_delay, Duration::from_secs(5));
    assert_eq!(config.listen.drain_timeout, Duration::from_secs(25));
    assert_eq!(parse(&[("PORT", ""), ("LOG_LEVEL", "")]).unwrap().to_string(), config.to_string());
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
        ("BODY_LIMIT", "64KiB"),
    ];
    let config = parse(&settings).unwrap();
    assert_eq!(config.listen.address.to_string(), "[::1]:0");
    assert_eq!(config.telemetry.version, "4f2c1e9");
    assert_eq!(config.telemetry.log_level, Level::DEBUG);
    assert_eq!(config.listen.drain_delay, Duration::from_millis(250));
    assert_eq!(config.listen.drain_timeout, Duration::from_secs(120));
    assert_eq!(config.limits.request_timeout, Duration::from_secs(3));
    assert_eq!(config.limits.body, 65536);
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
        ("BODY_LIMIT", "1MB"),
        ("CONFIG_FILE", "/absent"),
    ];
    let duration = "must be a duration such as 5s or 500ms, an hour at most";
    let expected = [
        "CONFIG_FILE: reading /absent: No such file or directory (os error 2)".to_owned(),
        r#"ADDRESS must be an IP address, got "localhost""#.to_owned(),
        r#"PORT must be a port from 0 to 65535, got "65536""#.to_owned(),
        "DRAIN_TIMEOUT (25s) must not be below DRAIN_DELAY (30s)".to_owned(),
        format!(r#"HEADER_TIMEOUT {duration}, got "1h""#),
        format!(r#"REQUEST_TIMEOUT {duration}, got "99999999999999999999s""#),
        r#"BODY_LIMIT must be a size such as 64KiB or 1MiB, from 1 to 1073741824 bytes, got "1MB""#.to_owned(),
        r#"APP_VERSION must be visible ASCII characters, got "a b""#.to_owned(),
        r#"LOG_LEVEL must be error, warn, info, debug or trace, got "loud""#.to_owned(),
    ];
    assert_eq!(parse(&settings).unwrap_err(), expected);
}

#[test]
fn the_environment_takes_precedence_over_the_file() {
    let yaml = File::new("yaml", "# ours\nport: 81\napp_version: 1.10\ndrain_delay: 1s\nlog_level:\n");
    let config = parse(&[("CONFIG_FILE", yaml.path()), ("DRAIN_DELAY", "2s")]).unwrap();
    assert_eq!(config.listen.address.port(), 81);
    assert_eq!(config.telemetry.version, "1.10");
    assert_eq!(config.listen.drain_delay, Duration::from_secs(2));
    let shown = config.to_string();
    for line in ["port: \"81\" # file", "drain_delay: \"2s\" # environment", "log_level: \"info\" # default"] {
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
    }
    // What is shown is a file that says the same.
    let again = File::new("again", &shown);
    let again = parse(&[("CONFIG_FILE", again.path())]).unwrap().to_string();
    let values = |text: &str| {
        text.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&shown));

    let json = File::new("json", "{\"PORT\": 82, \"body_limit\": \"2MiB\"}");
    let config = parse(&[("CONFIG_FILE", json.path())]).unwrap();
    assert_eq!((config.listen.address.port(), config.limits.body), (82, 2 << 20));
}

#[test]
fn mistakes_in_a_file_say_where() {
    let file = File::new("wrong", "prot: 81\nport: eighty\n");
    let path = file.path();
    assert_eq!(
        parse(&[("CONFIG_FILE", path)]).unwrap_err(),
        [
            format!("PORT must be a port from 0 to 65535, got \"eighty\" ({path})"),
            format!("prot is no setting ({path})")
        ]
    );
    for text in ["port: [1]\n", "port: 1\nport: 2\n", "port: 1\nPORT: 2\n", "- port\n", "{\"port\": ", "port: {a: 1}"] {
        let file = File::new("broken", text);
        let errors = parse(&[("CONFIG_FILE", file.path())]).unwrap_err();
        assert_eq!(errors.len(), 1, "{text:?} {errors:?}");
        assert!(errors[0].starts_with("CONFIG_FILE: "), "{errors:?}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let get = |name: &str| (name != "CONFIG_FILE").then(|| "hunter2".to_owned());
    let mut read = Reader::new(&get);
    let secret = read.secret("TOKEN", "a token", |text| Some(text.to_owned())).unwrap();
    assert_eq!((secret.expose().as_str(), format!("{secret:?}").as_str()), ("hunter2", "***"));
    assert_eq!(read.end().unwrap()[0].to_string(), "token: \"***\" # environment");

    let mut read = Reader::new(&get);
    assert!(read.secret("TOKEN", "a token", |_| None::<String>).is_none());
    assert_eq!(read.end().unwrap_err(), ["TOKEN must be a token, got what is not shown here"]);
    assert_eq!(format!("{:?}", Some(Secret::new(5))), "Some(***)");
}
