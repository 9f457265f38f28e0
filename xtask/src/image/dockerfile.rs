//! Builder `dockerfile`: the Engine's BuildKit runs a Dockerfile over the repository's files.
//!
//! bollard speaks to BuildKit through a gRPC session, which would bring tonic, h2 and their friends into every cold
//! compile. A session is needed for registry credentials and local files on demand only: the build here is one request
//! with the files in it, and its answer is a stream of lines, some of which carry BuildKit's own trace.

use std::{fs, io, path::Path};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, BodyStream, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{
    archive, engine,
    ignore::{self, Ignore},
    log::Log,
    reference::Tag,
    source::Source,
    trace,
};
use crate::{
    config::Unit,
    error::{Error, Result},
    ui::Step,
};

/// Builds and names the image.
///
/// # Errors
/// What the build says.
pub(super) async fn build(
    unit: Unit<'_>,
    file: &Path,
    name: &str,
    tag: &Tag,
    source: &Source,
    step: &Step,
) -> Result<()> {
    let root = unit.environment.root.clone();
    let mut log = Log::open(&root)?;
    if !file.is_file() {
        return Err(Error::usage(format!("there is no {}", file.display()))
            .hint(format!("set image.dockerfile in {}", unit.environment.file.display())));
    }
    let path = file.strip_prefix(&root).unwrap_or(file).to_owned();
    let failed = || Error::failed(format!("build {name} from {}", path.display()));
    step.update("sending the files");
    let context = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || context(&root, &path)).await
    };
    let context = context.map_err(|error| failed().source(&error))?.map_err(|error| failed().source(&error))?;
    let query = query(unit, &path, name, tag, source);
    let mut lines = send(&query, context).await.map_err(|error| failed().source(error.as_ref()))?;
    let mut error = None;
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| failed().source(&error))?;
        for text in words(&line) {
            log.line(&text);
            step.update(text);
        }
        if let Some(message) = line.pointer("/errorDetail/message").or(line.get("error")).and_then(Value::as_str) {
            error = Some(message.to_owned());
        }
    }
    match error {
        None => Ok(()),
        Some(message) => Err(log.failure(format!("build {name} from {}", path.display())).cause(message)),
    }
}

/// The files as a tar, sorted, without times and owners: BuildKit's cache looks at content alone, and so does this.
fn context(root: &Path, dockerfile: &Path) -> io::Result<Vec<u8>> {
    let rules = Ignore::read(root, &root.join(dockerfile))?;
    let mut files = rules.files(root)?;
    // Needed even if it is ignored.
    files.insert(dockerfile.to_owned());
    let mut builder = tar::Builder::new(Vec::new());
    for path in files {
        let file = root.join(&path);
        let metadata = fs::symlink_metadata(&file)?;
        let content = ignore::content(&file)?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            builder.append_link(&mut header, &path, String::from_utf8_lossy(&content).as_ref())?;
        } else {
            header.set_mode(if is_executable(&metadata) { 0o755 } else { 0o644 });
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, &path, content.as_slice())?;
        }
    }
    builder.into_inner()
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

fn query(unit: Unit<'_>, file: &Path, name: &str, tag: &Tag, source: &Source) -> String {
    let labels = archive::labels(&unit.service.image.package, tag, source).to_string();
    let arguments = serde_json::json!({
        "VERSION": tag.as_str(),
        "PACKAGE": unit.service.image.package,
        "PROFILE": unit.service.image.profile,
        // Understood by newer Engines: the time of the commit instead of that of the build.
        "SOURCE_DATE_EPOCH": source.created.as_second().to_string(),
    });
    let arguments = arguments.to_string();
    let file = file.to_string_lossy();
    let pairs = [
        ("version", "2"),
        ("rm", "1"),
        ("t", name),
        ("dockerfile", &file),
        ("labels", &labels),
        ("buildargs", &arguments),
    ];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts the build; its answer is one JSON value a line.
async fn send(query: &str, context: Vec<u8>) -> Result<impl Stream<Item = io::Result<Value>> + Unpin + use<>, Failure> {
    let stream = tokio::net::UnixStream::connect(engine::socket()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v{}.{}/build?{query}", engine::OLDEST_API.0, engine::OLDEST_API.1))
        .header(header::HOST, "docker")
        .header(header::CONTENT_TYPE, "application/x-tar")
        .body(Full::new(Bytes::from(context)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    if !status.is_success() {
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = answer["message"].as_str().unwrap_or_default();
        return Err(format!("Docker answered {status}: {message}").into());
    }
    Ok(Box::pin(lines(response.into_body())))
}

fn lines(body: Incoming) -> impl Stream<Item = io::Result<Value>> {
    let bytes = BodyStream::new(body)
        .filter_map(|frame| async { frame.map_err(io::Error::other).map(|frame| frame.into_data().ok()).transpose() });
    let reader = tokio_util::io::StreamReader::new(Box::pin(bytes));
    let lines = tokio_util::codec::FramedRead::new(reader, tokio_util::codec::LinesCodec::new());
    lines.map(|line| {
        let line = line.map_err(io::Error::other)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    })
}

/// What a line of the answer has to tell people.
fn words(line: &Value) -> Vec<String> {
    let text = match (line["id"].as_str(), line["aux"].as_str()) {
        (Some("moby.buildkit.trace"), Some(trace)) => return trace::lines(trace),
        _ => line["stream"].as_str().or(line["status"].as_str()).unwrap_or_default(),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}
