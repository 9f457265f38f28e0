//! Reading and deleting blobs.

use std::io::SeekFrom;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Response, StatusCode, header},
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{
    DIGEST, Registry,
    error::{Code, Error, Result},
    name::{Digest, Name},
    storage::Link,
};

/// What is read from the disk at once.
const CHUNK: usize = 256 * 1024;

/// `GET` and `HEAD /v2/NAME/blobs/DIGEST`, with ranges.
pub(super) async fn get(
    registry: &Registry,
    name: &Name,
    digest: &Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let unknown = || Error::new(Code::BlobUnknown, format!("no blob {digest} in {name}"));
    // A manifest can be had as a blob too: clients that resolve by descriptor alone ask for it that way.
    if registry.storage.linked(name, Link::Blob, digest)?.is_none()
        && registry.storage.linked(name, Link::Manifest, digest)?.is_none()
    {
        return Err(unknown());
    }
    let mut file = tokio::fs::File::open(registry.storage.content(digest)).await.map_err(|_| unknown())?;
    let size = file.metadata().await?.len();
    let etag = format!("\"{digest}\"");
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, &etag)
        .header(header::CACHE_CONTROL, "max-age=31536000")
        .header(DIGEST, digest.to_string());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes()) {
        return Ok(super::empty(response.status(StatusCode::NOT_MODIFIED)));
    }

    let wanted =
        headers.get(header::RANGE).and_then(|value| value.to_str().ok()).map_or(Range::Whole, |text| range(text, size));
    let (response, first, length) = match wanted {
        Range::Whole => (response.status(StatusCode::OK), 0, size),
        Range::Part(first, last) => {
            let content_range = format!("bytes {first}-{last}/{size}");
            let response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, content_range);
            (response, first, last - first + 1)
        }
        Range::Outside => {
            return Err(Error::new(Code::RangeInvalid, format!("the blob has {size} bytes"))
                .header(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let response = response.header(header::CONTENT_LENGTH, length);
    if method == Method::HEAD {
        return Ok(super::empty(response));
    }
    file.seek(SeekFrom::Start(first)).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK));
    Ok(response.body(body).expect("headers are valid by construction"))
}

/// `DELETE /v2/NAME/blobs/DIGEST`: the repository loses it; the content stays for others that may link it.
pub(super) fn delete(registry: &Registry, name: &Name, digest: &Digest) -> Result<Response<Body>> {
    if !registry.storage.unlink(name, Link::Blob, digest)? {
        return Err(Error::new(Code::BlobUnknown, format!("no blob {digest} in {name}")));
    }
    Ok(super::empty(Response::builder().status(StatusCode::ACCEPTED)))
}

/// What a Range header asks for (RFC 9110, section 14.1.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Range {
    Whole,
    Part(u64, u64),
    Outside,
}

/// A header that is malformed or names several ranges is ignored, as the RFC permits.
pub(super) fn range(text: &str, size: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|ranges| ranges.split_once('-')) else {
        return Range::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && first < size => Range::Part(first, last.min(size - 1)),
        (Ok(first), Err(_)) if last.is_empty() && first < size => Range::Part(first, size - 1),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 && size > 0 => {
            Range::Part(size.saturating_sub(suffix), size - 1)
        }
        (Ok(first), Ok(last)) if first > last => Range::Whole,
        (Ok(_), Ok(_)) => Range::Outside,
        (Ok(_), Err(_)) if last.is_empty() => Range::Outside,
        (Err(_), Ok(_)) if first.is_empty() => Range::Outside,
        _ => Range::Whole,
    }
}
