//! An image of one registry in another, as it is: what is copied keeps its digests (distribution-spec 1.1, "Pushing
//! manifests" and "Pushing blobs").

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::Value;

use super::{
    client::{Client, Question, path},
    words::{asking, said},
};
use crate::{
    error::{Error, Result},
    image::reference::{Digest, Repository},
    ui::Step,
};

/// A repository, and who asks for it.
pub(super) struct Side {
    pub(super) client: Client,
    pub(super) repository: Repository,
}

/// What a registry has under a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Manifest,
    Blob,
}

/// Copies the image with this digest; says how many layers were sent. What is there already is left.
pub(super) async fn copy(from: &Side, digest: &Digest, to: &Side, step: &Step) -> Result<usize> {
    if to.has(Part::Manifest, digest).await? {
        return Ok(0);
    }
    let (body, media) = from.fetch(Part::Manifest, digest).await?;
    let manifest: Value = serde_json::from_slice(&body)
        .map_err(|error| Error::failed(format!("read the manifest {}@{digest}", from.repository)).source(&error))?;
    let mut sent = 0;
    // An index has manifests, a manifest has layers; the digest of each is in it.
    for one in digests(&manifest["manifests"]) {
        sent += Box::pin(copy(from, &one, to, step)).await?;
    }
    for blob in digests(&manifest["layers"]).into_iter().chain(digests(&manifest["config"])) {
        if !to.has(Part::Blob, &blob).await? {
            step.update(format!("copying {} to {}", blob.short(), to.repository));
            let (body, _) = from.fetch(Part::Blob, &blob).await?;
            to.upload(&blob, body).await?;
            sent += 1;
        }
    }
    let url = to.url(Part::Manifest, digest);
    let question = Question { method: Method::PUT, url: &url, header: (header::CONTENT_TYPE, &media), body };
    let answer = to.ask(&question).await?;
    expect(&url, &answer, &[StatusCode::CREATED]).map(|()| sent)
}

/// The digests of descriptors, of one or of many.
fn digests(descriptors: &Value) -> Vec<Digest> {
    let many = descriptors.as_array().map(Vec::as_slice).unwrap_or_default();
    let all = many.iter().chain(std::iter::once(descriptors));
    all.filter_map(|one| one["digest"].as_str()?.parse().ok()).collect()
}

impl Side {
    fn url(&self, part: Part, digest: &Digest) -> String {
        let part = if part == Part::Manifest { "manifests" } else { "blobs" };
        format!("{}/{part}/{digest}", self.client.place(&self.repository))
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Response<Bytes>> {
        self.client.ask(&path(&self.repository), question).await
    }

    async fn has(&self, part: Part, digest: &Digest) -> Result<bool> {
        let url = self.url(part, digest);
        let answer = self.ask(&Question { method: Method::HEAD, ..Question::get(&url) }).await?;
        expect(&url, &answer, &[StatusCode::OK, StatusCode::NOT_FOUND])?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// The bytes with this digest, and their type.
    async fn fetch(&self, part: Part, digest: &Digest) -> Result<(Bytes, String)> {
        let url = self.url(part, digest);
        let mut answer = self.ask(&Question::get(&url)).await?;
        if answer.status().is_redirection()
            && let Some(elsewhere) = self.client.location(&answer)
        {
            answer = self.client.send(&Question::get(&elsewhere), None).await?;
        }
        expect(&url, &answer, &[StatusCode::OK])?;
        let media = answer.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let media = media.unwrap_or("application/octet-stream").to_owned();
        let body = answer.into_body();
        if Digest::of(&body) != *digest {
            return Err(Error::failed(asking(&url)).cause("what it sends has another digest"));
        }
        Ok((body, media))
    }

    /// In one piece: ECR answers to pieces in a way of its own.
    async fn upload(&self, digest: &Digest, body: Bytes) -> Result<()> {
        let url = format!("{}/blobs/uploads/", self.client.place(&self.repository));
        let answer = self.ask(&Question { method: Method::POST, ..Question::get(&url) }).await?;
        expect(&url, &answer, &[StatusCode::ACCEPTED])?;
        let location = self.client.location(&answer);
        let location = location.ok_or_else(|| Error::failed(asking(&url)).cause("it does not say where to send to"))?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let place = format!("{location}{separator}digest={digest}");
        let header = (header::CONTENT_TYPE, "application/octet-stream");
        let answer = self.ask(&Question { method: Method::PUT, url: &place, header, body }).await?;
        // Where to send to may hold a signature.
        expect(&url, &answer, &[StatusCode::CREATED])
    }
}

fn expect(url: &str, answer: &Response<Bytes>, expected: &[StatusCode]) -> Result<()> {
    match expected.contains(&answer.status()) {
        true => Ok(()),
        false => Err(Error::failed(asking(url)).cause(said(answer))),
    }
}
