//! What each key means, what it defaults to and what it may be.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Builder, Check, Cluster, Environment, Image, Registry, Rollout, Service,
    fields::{Field, Findings, Section},
    located::Node,
};

const METHODS: [(&str, &str); 6] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Reads a file's tree. What is returned means something only when there are no mistakes in `findings`.
pub(super) fn read(root: &Path, name: &str, file: &Path, node: Option<&Node>, findings: &Findings) -> Environment {
    let mut keys = Section::root(findings, node);
    let environment = Environment {
        name: name.to_owned(),
        file: file.to_owned(),
        root: root.to_owned(),
        service: service(keys.field("service").section()),
        image: image(root, keys.field("image").section()),
        registry: registry(keys.field("registry").section()),
        cluster: cluster(keys.field("cluster").section()),
        manifests: manifests(root, name, &keys.field("manifests")),
        rollout: rollout(keys.field("rollout").section()),
        verify: keys.field("verify").items().into_iter().map(check).collect(),
    };
    keys.end();
    environment
}

fn service(mut keys: Section<'_>) -> Service {
    // A Service's name becomes a DNS label that starts with a letter (RFC 1035), a namespace's one of RFC 1123.
    let service = Service {
        name: keys.field("name").checked(|name| label(name, false)).unwrap_or_else(|| "app".into()),
        namespace: keys.field("namespace").checked(|name| label(name, true)).unwrap_or_else(|| "app".into()),
    };
    keys.end();
    service
}

fn image(root: &Path, mut keys: Section<'_>) -> Image {
    let package = keys.field("package").checked(package_name).unwrap_or_else(|| "app".into());
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
    Image { package, builder }
}

fn registry(mut keys: Section<'_>) -> Registry {
    let registry = keys.field("provider").choice(&[("local", Registry::Local)]);
    keys.end();
    registry.unwrap_or(Registry::Local)
}

fn cluster(mut keys: Section<'_>) -> Cluster {
    let cluster = keys.field("provider").choice(&[("local", Cluster::Local)]);
    keys.end();
    cluster.unwrap_or(Cluster::Local)
}

fn manifests(root: &Path, name: &str, field: &Field<'_>) -> PathBuf {
    let directory = path(root, field).unwrap_or_else(|| root.join("manifests/overlays").join(name));
    if !directory.is_dir() {
        let shown = directory.strip_prefix(root).unwrap_or(&directory);
        field.mistake(format!("there is no directory {}", shown.display()));
    }
    directory
}

fn rollout(mut keys: Section<'_>) -> Rollout {
    let rollout = Rollout { timeout: keys.field("timeout").duration().unwrap_or(Duration::from_secs(300)) };
    keys.end();
    rollout
}

fn check(field: Field<'_>) -> Check {
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
fn path(root: &Path, field: &Field<'_>) -> Option<PathBuf> {
    if !field.is_given() {
        return None;
    }
    let rule = |path: &str| if path.is_empty() { Err("a path was expected".to_owned()) } else { Ok(()) };
    field.checked(rule).map(|path| root.join(path))
}

fn label(name: &str, digit_first: bool) -> Result<(), String> {
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
    let fits =
        !name.is_empty() && name.chars().all(|character| character.is_alphanumeric() || "-_".contains(character));
    if fits { Ok(()) } else { Err(format!("`{name}` is not the name of a cargo package")) }
}

fn request_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("`{path}` does not begin with /"));
    }
    path.parse::<http::uri::PathAndQuery>().map(|_| ()).map_err(|error| format!("`{path}` is not a path: {error}"))
}
