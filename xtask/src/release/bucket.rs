//! A bucket as a place for small objects that several processes write: each write says what it expects to find
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>).
//!
//! The SDK's futures are large and nest deeply, for the compiler too, so they are boxed.

mod make;

use std::time::Duration;

use aws_sdk_s3::{Client, error::SdkError, primitives::ByteStream};

use crate::{
    aws::{self, code, failed},
    config::S3State,
    error::{Error, Result},
};

/// How often a write is tried that collided with another one, and the pause between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// The bucket of releases.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    client: Client,
    settings: S3State,
}

/// An object as it was found or written.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) body: Vec<u8>,
    /// Another one for each content.
    pub(super) etag: String,
}

/// What a write expects to find.
enum Expected<'a> {
    Nothing,
    Tag(&'a str),
}

impl Bucket {
    /// The bucket of an environment.
    ///
    /// # Errors
    /// There are no credentials for its account.
    pub(super) async fn open(settings: &S3State) -> Result<Self> {
        let config = Box::pin(aws::connect(&settings.aws)).await?;
        Ok(Self { client: aws::s3(&settings.aws, &config), settings: settings.clone() })
    }

    /// Makes it what it should be; true if it was not there.
    pub(super) async fn make(&self) -> Result<bool> {
        make::bucket(&self.client, &self.settings).await
    }

    /// `s3://BUCKET/KEY`, for people.
    pub(super) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.settings.bucket)
    }

    /// An object, unless there is none.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Found>> {
        let doing = || format!("read {}", self.url(key));
        let get = self.client.get_object().bucket(&self.settings.bucket).key(key);
        let get = get.expected_bucket_owner(&self.settings.aws.account);
        let found = match Box::pin(get.send()).await {
            Ok(found) => found,
            Err(error) if matches!(code(&error), "NoSuchKey" | "NoSuchBucket") => return Ok(None),
            Err(error) => return Err(failed(doing(), "s3:GetObject", &self.settings.aws, &error)),
        };
        let etag = found.e_tag().unwrap_or_default().to_owned();
        let body = found.body.collect().await.map_err(|error| Error::failed(doing()).source(&error))?;
        Ok(Some(Found { body: body.to_vec(), etag }))
    }

    /// Writes an object that there is not. Nothing is returned when there is one; the bucket is made when it is missing.
    pub(super) async fn create(&self, key: &str, body: Vec<u8>) -> Result<Option<Found>> {
        match self.put(key, &body, Expected::Nothing).await {
            Err(error) if error.no_bucket => {
                Box::pin(self.make()).await?;
                self.put(key, &body, Expected::Nothing).await.map_err(|error| error.error)
            }
            answer => answer.map_err(|error| error.error),
        }
    }

    /// Writes an object over the one that was found. Nothing is returned when it is another one by now.
    pub(super) async fn replace(&self, key: &str, body: Vec<u8>, etag: &str) -> Result<Option<Found>> {
        self.put(key, &body, Expected::Tag(etag)).await.map_err(|error| error.error)
    }

    /// Deletes an object; with a tag only the one that was found, and says whether it was that one.
    pub(super) async fn delete(&self, key: &str, etag: Option<&str>) -> Result<bool> {
        let delete = self.client.delete_object().bucket(&self.settings.bucket).key(key);
        let delete = delete.set_if_match(etag.map(str::to_owned));
        let delete = delete.expected_bucket_owner(&self.settings.aws.account);
        match Box::pin(delete.send()).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(code(&error), "NoSuchKey" | "NoSuchBucket") => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => {
                Err(failed(format!("delete {}", self.url(key)), "s3:DeleteObject", &self.settings.aws, &error))
            }
        }
    }

    /// The keys that begin so, in order.
    pub(super) async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let list = self.client.list_objects_v2().bucket(&self.settings.bucket).prefix(prefix);
        let list = list.expected_bucket_owner(&self.settings.aws.account);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = Box::pin(pages.next()).await {
            match page {
                Ok(page) => keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned))),
                Err(error) if code(&error) == "NoSuchBucket" => return Ok(Vec::new()),
                Err(error) => {
                    let doing = format!("list {}", self.url(prefix));
                    return Err(failed(doing, "s3:ListBucket", &self.settings.aws, &error));
                }
            }
        }
        Ok(keys)
    }

    async fn put(&self, key: &str, body: &[u8], expected: Expected<'_>) -> Result<Option<Found>, Unwritten> {
        for attempt in 1.. {
            let put = self.client.put_object().bucket(&self.settings.bucket).key(key);
            let put = put.expected_bucket_owner(&self.settings.aws.account);
            let put = match expected {
                Expected::Nothing => put.if_none_match("*"),
                Expected::Tag(etag) => put.if_match(etag),
            };
            let error = match Box::pin(put.body(ByteStream::from(body.to_vec())).send()).await {
                Ok(put) => return Ok(Some(found(body, put.e_tag()))),
                Err(error) => error,
            };
            match code(&error) {
                // It was there and is not any more.
                "NoSuchKey" => return Ok(None),
                "PreconditionFailed" => return self.written(key, body).await.map_err(Unwritten::from),
                // Another write was under way at the same time; nothing is said of which one counts.
                "ConditionalRequestConflict" | "OperationAborted" if attempt < ATTEMPTS => {}
                code => {
                    let no_bucket = code == "NoSuchBucket";
                    let doing = format!("write {}", self.url(key));
                    let error = failed(doing, "s3:PutObject", &self.settings.aws, &error);
                    return Err(Unwritten { error, no_bucket });
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// What is there, if it is what we wrote: an attempt whose answer was lost has done it.
    async fn written(&self, key: &str, body: &[u8]) -> Result<Option<Found>> {
        Ok(self.get(key).await?.filter(|found| found.body == body))
    }
}

/// Why something was not written.
struct Unwritten {
    error: Error,
    no_bucket: bool,
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self { error, no_bucket: false }
    }
}

fn found(body: &[u8], etag: Option<&str>) -> Found {
    Found { body: body.to_vec(), etag: etag.unwrap_or_default().to_owned() }
}

fn is_conflict<E: aws_sdk_s3::error::ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(code(error), "PreconditionFailed" | "ConditionalRequestConflict")
}
