//! Who we are on AWS, and what AWS says in words that help. What is done there is with its providers: the registry in
//! `registry/ecr.rs`, the cluster in `cluster/eks`, the bucket of releases in `release/bucket.rs`.

pub(crate) mod json;
mod refusal;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};

pub use refusal::{code, failed};

use crate::{
    config::Aws,
    error::{Error, Result},
};

/// How often a request is made in all, when AWS throttles it or has troubles of its own; the SDK doubles the pauses
/// between, up to the longest.
const ATTEMPTS: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How long a connection, and one attempt of a request, may take.
const CONNECT: Duration = Duration::from_secs(10);
const ATTEMPT: Duration = Duration::from_secs(60);

/// What this process has found out: the credentials may have cost a person a code from their phone.
static KNOWN: Mutex<Vec<(Aws, SdkConfig)>> = Mutex::new(Vec::new());

/// The settings of every client, once it is known that the credentials are of the environment's account.
///
/// # Errors
/// There are no credentials, AWS does not take them, or they are of another account.
pub async fn connect(aws: &Aws) -> Result<SdkConfig> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|(one, _)| one == aws).cloned();
    if let Some((_, config)) = known {
        return Ok(config);
    }
    let config = load(aws).await;
    guard(aws, &config).await?;
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push((aws.clone(), config.clone()));
    Ok(config)
}

/// The domain of AWS in the region's partition.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// What ARNs in the region begin with after `arn:`.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A client of S3. An emulator has no name for each bucket.
pub fn s3(aws: &Aws, config: &SdkConfig) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::config::Builder::from(config).force_path_style(aws.endpoint.is_some());
    aws_sdk_s3::Client::from_conf(settings.build())
}

async fn load(aws: &Aws) -> SdkConfig {
    let retry = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_PAUSE);
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .retry_config(retry)
        .timeout_config(timeouts);
    if let Some(profile) = &aws.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &aws.endpoint {
        // No credentials of a real account are shown to an emulator. The one that is meant takes the account from the id.
        let credentials = Credentials::new(&aws.account, "emulator", None, None, "emulator");
        loader = loader.endpoint_url(endpoint).credentials_provider(SharedCredentialsProvider::new(credentials));
    }
    loader.load().await
}

/// Refuses credentials of another account.
async fn guard(aws: &Aws, config: &SdkConfig) -> Result<()> {
    let doing = "ask AWS who we are";
    let asked = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    let caller = asked.map_err(|error| failed(doing, "sts:GetCallerIdentity", aws, &error))?;
    let (account, arn) = (caller.account().unwrap_or_default(), caller.arn().unwrap_or_default());
    if account == aws.account {
        return Ok(());
    }
    Err(Error::usage(format!("the credentials are of account {account}, the environment is in {}", aws.account))
        .cause(format!("AWS knows us as {arn}"))
        .hint("log in to the environment's account, or name a profile that does: aws.profile in infra-config"))
}

#[cfg(test)]
mod tests;
