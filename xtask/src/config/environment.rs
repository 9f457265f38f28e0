//! What each key means, what it defaults to and what it may be.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Builder, Check, Environment, Image, OnFailure, Release, Rollout, aws,
    fields::{Field, Findings, Section},
    located::Node,
    providers, services,
};

const METHODS: [(&str, &str); 6] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Reads a file's tree. What is returned means something only when there are no mistakes in `findings`.
pub(super) fn read(root: &Path, name: &str, file: &Path, node: Option<&Node>, findings: &Findings) -> Environment {
    let mut keys = Section::root(findings, node);
    let aws = aws::account(keys.field("aws"));
    let services = services::read(root, name, aws.as_ref(), &mut keys);
    let state = aws::state(aws.as_ref(), keys.field("state"));
    let environment = Environment {
        name: name.to_owned(),
        file: file.to_owned(),
        root: root.to_owned(),
        registry: providers::registry(aws.as_ref(), keys.field("registry"), services.len() > 1),
        services,
        cluster: providers::cluster(root, aws.as_ref(), keys.field("cluster")),
        rollout: rollout(keys.field("rollout").section()),
        release: release(keys.field("release").section()),
        uploads: aws::uploads(aws.as_ref(), &state, keys.field("uploads")),
        state,
        aws,
    };
    keys.end();
    environment
}

pub(super) fn image(root: &Path, mut keys: Section<'_>, default: &str) -> Image {
    let package = keys.field("package").checked(package_name).unwrap_or_else(|| default.to_owned());
    let profile = keys.field("profile").checked(profile_name).unwrap_or_else(|| "release".to_owned());
    let builder = keys.field("builder").choice(&[("host", false), ("dockerfile", true)]);
    let field = keys.field("dockerfile");
    let file = path(root, &field).unwrap_or_else(|| root.join("Dockerfile"));
    // Static linking on the host needs Linux; elsewhere the compiler runs in a container.
    let builder = if builder.unwrap_or(!cfg!(target_os = "linux")) {
        if !file.is_file() {
            field.mistake(format!("there is no file {}", file.display()));
        }
        Builder::Dockerfile { file }
    } else {
        Builder::Host
    };
    keys.end();
    Image { package, profile, builder }
}

pub(super) fn manifests(root: &Path, default: &Path, field: &Field<'_>) -> PathBuf {
    let directory = path(root, field).unwrap_or_else(|| root.join(default));
    if !directory.is_dir() {
        let shown = directory.strip_prefix(root).unwrap_or(&directory);
        field.mistake(format!("there is no directory {}", shown.display()));
    }
    directory
}

fn rollout(mut keys: Section<'_>) -> Rollout {
    let on_failure = [("rollback", OnFailure::Rollback), ("keep", OnFailure::Keep)];
    let rollout = Rollout {
        timeout: keys.field("timeout").duration().unwrap_or(Duration::from_secs(300)),
        on_failure: keys.field("on_failure").choice(&on_failure).unwrap_or(OnFailure::Rollback),
    };
    keys.end();
    rollout
}

fn release(mut keys: Section<'_>) -> Release {
    const EXPECTED: &str = "a number of releases from 2 to 1000";
    let keep = keys.field("keep");
    let kept = if keep.is_given() { keep.number(EXPECTED) } else { Some(10) };
    if let Some(kept) = kept.filter(|kept| !(2..=1000).contains(kept)) {
        keep.mistake(format!("`{kept}` is not {EXPECTED}"));
    }
    let release = Release {
        namespace: keys.field("namespace").checked(|name| label(name, true)).unwrap_or_else(|| "slipway".into()),
        keep: kept.unwrap_or(10),
        consent: keys.field("consent").choice(&[("required", true), ("none", false)]).unwrap_or(false),
    };
    keys.end();
    release
}

pub(super) fn check(field: Field<'_>) -> Check {
    let mut keys = field.section();
    let name = keys.field("name").text().map(str::to_owned);
    let timeout = keys.field("timeout").duration().unwrap_or(Duration::from_secs(30));
    let mut request = keys.field("request").section();
    let method = request.field("method").choice(&METHODS).unwrap_or("GET").to_owned();
    let path = request.field("path").checked(request_path).unwrap_or_else(|| "/".into());
    let field = request.field("headers");
    let headers = field.texts();
    for (name, value) in &headers {
        if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
            field.mistake(format!("`{name}: {value}` is not a header"));
        }
    }
    let body = request.field("body").text().map(str::to_owned);
    request.end();
    let mut expect = keys.field("expect").section();
    let status = status(&expect.field("status"));
    let json = expect.field("json").json();
    let contains = expect.field("contains").text().map(str::to_owned);
    expect.end();
    keys.end();
    let name = name.unwrap_or_else(|| format!("{method} {path}"));
    Check { name, method, path, headers, body, status, json, contains, timeout }
}

fn status(field: &Field<'_>) -> u16 {
    const EXPECTED: &str = "an HTTP status from 100 to 599";
    if !field.is_given() {
        return 200;
    }
    let status = field.number(EXPECTED);
    if status.is_some_and(|status| !(100..600).contains(&status)) {
        field.mistake(format!("`{}` is not {EXPECTED}", status.unwrap_or_default()));
    }
    status.unwrap_or(200)
}

/// A path in the repository, made absolute.
pub(super) fn path(root: &Path, field: &Field<'_>) -> Option<PathBuf> {
    if !field.is_given() {
        return None;
    }
    let rule = |path: &str| if path.is_empty() { Err("a path was expected".to_owned()) } else { Ok(()) };
    field.checked(rule).map(|path| root.join(path))
}

pub(super) fn label(name: &str, digit_first: bool) -> Result<(), String> {
    let inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let first = |character: char| character.is_ascii_lowercase() || digit_first && character.is_ascii_digit();
    let fits = name.len() <= 63 && name.chars().all(inner) && name.starts_with(first) && !name.ends_with('-');
    let start = if digit_first { "a letter or a digit" } else { "a letter" };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is not a DNS label: at most 63 of a-z, 0-9 and -, beginning with {start}, not ending in -"
        ))
    }
}

fn package_name(name: &str) -> Result<(), String> {
    if is_cargo_name(name) { Ok(()) } else { Err(format!("`{name}` is not the name of a cargo package")) }
}

fn profile_name(name: &str) -> Result<(), String> {
    if is_cargo_name(name) { Ok(()) } else { Err(format!("`{name}` is not the name of a cargo profile")) }
}

fn is_cargo_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| character.is_alphanumeric() || "-_".contains(character))
}

fn request_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("`{path}` does not begin with /"));
    }
    path.parse::<http::uri::PathAndQuery>().map(|_| ()).map_err(|error| format!("`{path}` is not a path: {error}"))
}
