//! Uploads of blobs: in one request, streamed, in chunks, or mounted from another repository.

use std::{
    collections::HashMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, Response, StatusCode, header},
};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::{
    DIGEST, Query, Registry,
    error::{Code, Error, Result},
    name::{Algorithm, Digest, Hasher, Name},
    storage::{Link, Storage},
};

const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An upload that nobody continued for this long is given up.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// The uploads under way. They live as long as the process: a client whose upload is gone starts it again.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    sessions: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<Session>>>>,
}

#[derive(Debug)]
struct Session {
    id: Uuid,
    name: Name,
    path: PathBuf,
    file: fs::File,
    offset: u64,
    /// Hashed while it streams in, so that the end of an upload need not read it again.
    hasher: Hasher,
    touched: Instant,
}

impl Session {
    fn start(storage: &Storage, name: &Name) -> Result<Self> {
        let (path, file) = storage.scratch()?;
        let hasher = Hasher::new(Algorithm::Sha256);
        Ok(Self { id: Uuid::new_v4(), name: name.clone(), path, file, offset: 0, hasher, touched: Instant::now() })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        self.touched = Instant::now();
        Ok(())
    }

    fn digest(&self, algorithm: Algorithm) -> io::Result<Digest> {
        match algorithm {
            Algorithm::Sha256 => Ok(self.hasher.clone().finish()),
            Algorithm::Sha512 => Ok(Digest::of(algorithm, &fs::read(&self.path)?)),
        }
    }

    fn location(&self) -> String {
        format!("/v2/{}/blobs/uploads/{}", self.name, self.id)
    }

    /// Inclusive, so that an empty upload can't be told from one of a single byte; this is what registries answer.
    fn range(&self) -> String {
        format!("0-{}", self.offset.saturating_sub(1))
    }

    fn answer(&self, status: StatusCode) -> Response<Body> {
        let response = Response::builder()
            .status(status)
            .header(header::LOCATION, self.location())
            .header(header::RANGE, self.range())
            .header(UPLOAD, self.id.to_string());
        super::empty(response)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // After a successful end the file has been renamed away.
        let _ = fs::remove_file(&self.path);
    }
}

impl Uploads {
    fn add(&self, session: Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // One that is locked is being written to.
        sessions.retain(|_, session| session.try_lock().map_or(true, |session| session.touched.elapsed() < ABANDONED));
        sessions.insert(session.id, Arc::new(tokio::sync::Mutex::new(session)));
    }

    async fn get(&self, name: &Name, id: &str) -> Result<OwnedMutexGuard<Session>> {
        let unknown = || Error::new(Code::BlobUploadUnknown, format!("no upload {id:?} in {name}"));
        let id = Uuid::parse_str(id).map_err(|_| unknown())?;
        let session = {
            let sessions = self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            sessions.get(&id).cloned().ok_or_else(unknown)?
        };
        let session = session.lock_owned().await;
        if session.name == *name { Ok(session) } else { Err(unknown()) }
    }

    fn remove(&self, id: Uuid) {
        self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&id);
    }
}

/// `POST /v2/NAME/blobs/uploads/`: starts an upload, mounts a blob, or takes it whole.
pub(super) async fn start(registry: &Registry, name: &Name, query: &Query, body: Body) -> Result<Response<Body>> {
    if let (Some(mount), Some(from)) = (query.get("mount"), query.get("from")) {
        // A mount that can't be had turns into an ordinary upload.
        if let (Ok(digest), Ok(from)) = (Digest::parse(mount), Name::parse(from))
            && registry.storage.linked(&from, Link::Blob, &digest)?.is_some()
        {
            registry.storage.link(name, Link::Blob, &digest, "")?;
            return Ok(created(name, &digest));
        }
    }
    let session = Session::start(&registry.storage, name)?;
    if let Some(digest) = query.get("digest") {
        let digest = Digest::parse(digest)?;
        let session = Arc::new(tokio::sync::Mutex::new(session)).lock_owned().await;
        return finish(registry, receive(session, body).await?, digest).await;
    }
    let response = session.answer(StatusCode::ACCEPTED);
    registry.uploads.add(session);
    Ok(response)
}

/// `GET /v2/NAME/blobs/uploads/ID`: how far an upload has come.
pub(super) async fn status(registry: &Registry, name: &Name, id: &str) -> Result<Response<Body>> {
    Ok(registry.uploads.get(name, id).await?.answer(StatusCode::NO_CONTENT))
}

/// `PATCH /v2/NAME/blobs/uploads/ID`: the next chunk, or the whole as a stream.
pub(super) async fn append(
    registry: &Registry,
    name: &Name,
    id: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>> {
    let session = registry.uploads.get(name, id).await?;
    check_range(&session, headers)?;
    let session = receive(session, body).await?;
    Ok(session.answer(StatusCode::ACCEPTED))
}

/// `PUT /v2/NAME/blobs/uploads/ID?digest=`: the last chunk, if any, and what all of it must hash to.
pub(super) async fn end(
    registry: &Registry,
    name: &Name,
    id: &str,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>> {
    let session = registry.uploads.get(name, id).await?;
    let digest = query.get("digest").map(String::as_str).unwrap_or_default();
    let digest = Digest::parse(digest)?;
    check_range(&session, headers)?;
    let session = receive(session, body).await?;
    registry.uploads.remove(session.id);
    finish(registry, session, digest).await
}

/// `DELETE /v2/NAME/blobs/uploads/ID`.
pub(super) async fn cancel(registry: &Registry, name: &Name, id: &str) -> Result<Response<Body>> {
    let session = registry.uploads.get(name, id).await?;
    registry.uploads.remove(session.id);
    Ok(super::empty(Response::builder().status(StatusCode::NO_CONTENT)))
}

/// A chunk has to start where the upload stands, and to be as long as it says.
fn check_range(session: &Session, headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::CONTENT_RANGE) else { return Ok(()) };
    let invalid = || Error::new(Code::BlobUploadInvalid, format!("invalid Content-Range {range:?}"));
    let (first, last) = range.trim_start_matches("bytes ").split_once('-').ok_or_else(invalid)?;
    // RFC 9110 has a total behind a slash, the distribution-spec has not.
    let last = last.split('/').next().unwrap_or_default();
    let first: u64 = first.parse().map_err(|_| invalid())?;
    let last: u64 = last.parse().map_err(|_| invalid())?;
    if first != session.offset {
        let message = format!("chunk starts at {first}, the upload stands at {}", session.offset);
        return Err(Error::new(Code::RangeInvalid, message)
            .header(header::LOCATION, session.location())
            .header(header::RANGE, session.range())
            .header(UPLOAD, session.id.to_string()));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if last < first || length.is_some_and(|length| length != last - first + 1) {
        return Err(Error::new(Code::SizeInvalid, format!("Content-Range {range} does not fit Content-Length")));
    }
    Ok(())
}

/// Writes and hashes on a thread for blocking work, one frame at a time: nothing is buffered, nothing is read twice.
async fn receive(mut session: OwnedMutexGuard<Session>, mut body: Body) -> Result<OwnedMutexGuard<Session>> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::new(Code::BlobUploadInvalid, format!("reading the body: {error}")))?;
        let Ok(bytes): std::result::Result<Bytes, _> = frame.into_data() else { continue };
        let written = tokio::task::spawn_blocking(move || session.append(&bytes).map(|()| session)).await?;
        session = written?;
    }
    Ok(session)
}

async fn finish(registry: &Registry, session: OwnedMutexGuard<Session>, digest: Digest) -> Result<Response<Body>> {
    let storage = registry.storage.clone();
    tokio::task::spawn_blocking(move || {
        let actual = session.digest(digest.algorithm())?;
        if actual != digest {
            return Err(Error::new(Code::DigestInvalid, format!("content is {actual}, not {digest}")));
        }
        storage.keep(&session.file, Path::new(&session.path), &digest)?;
        storage.link(&session.name, Link::Blob, &digest, "")?;
        Ok(created(&session.name, &digest))
    })
    .await?
}

fn created(name: &Name, digest: &Digest) -> Response<Body> {
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{name}/blobs/{digest}"))
        .header(DIGEST, digest.to_string());
    super::empty(response)
}
