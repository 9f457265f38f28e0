//! A file in parts. What has been begun is either completed or taken back: S3 keeps, and charges for, forgotten parts.

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use axum::http::StatusCode;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{PART, random::Random, refusal::refuse};
use crate::problem::Problem;

/// Uploads a file, one part in memory at a time.
pub(super) async fn put(client: &Client, bucket: &str, key: &str, random: &mut Random) -> Result<(), Problem> {
    let begun = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .content_type("application/octet-stream")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_type(ChecksumType::Composite)
        .send()
        .await
        .map_err(|error| refuse("begin an upload", &error))?;
    let id = begun.upload_id.ok_or_else(|| Problem::new(StatusCode::BAD_GATEWAY, "S3 gave no id for the upload"))?;
    let mut begun = Begun { client, bucket, key, id, done: false };
    let mut parts = Vec::new();
    while !random.is_done() {
        parts.push(begun.part(parts.len() as i32 + 1, random).await?);
    }
    begun.complete(parts).await
}

/// An upload that is taken back unless it is completed, also when whoever wanted it has gone.
struct Begun<'a> {
    client: &'a Client,
    bucket: &'a str,
    key: &'a str,
    id: String,
    done: bool,
}

impl Begun<'_> {
    async fn part(&self, number: i32, random: &mut Random) -> Result<CompletedPart, Problem> {
        let (part, sum) = random.part(PART);
        let sum = BASE64_STANDARD.encode(sum);
        let request = self.client.upload_part().bucket(self.bucket).key(self.key).upload_id(&self.id);
        let request = request.part_number(number).checksum_sha256(&sum).body(ByteStream::from(part));
        let sent = request.send().await.map_err(|error| refuse("upload a part", &error))?;
        let part = CompletedPart::builder().part_number(number).checksum_sha256(sum);
        Ok(part.set_e_tag(sent.e_tag).build())
    }

    async fn complete(&mut self, parts: Vec<CompletedPart>) -> Result<(), Problem> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(self.bucket).key(self.key).upload_id(&self.id);
        request.multipart_upload(parts).send().await.map_err(|error| refuse("complete an upload", &error))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let request = self.client.abort_multipart_upload().bucket(self.bucket).key(self.key).upload_id(&self.id);
        tokio::spawn(async move {
            if let Err(error) = request.send().await {
                // A lifecycle rule of the bucket takes what is left here.
                tracing::warn!(error = super::refusal::words(&error), "taking back an upload");
            }
        });
    }
}
