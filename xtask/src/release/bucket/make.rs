//! Makes the bucket: versioned, encrypted, not public, and for TLS only but on an emulator.

use aws_sdk_s3::{
    Client,
    types::{
        BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, PublicAccessBlockConfiguration,
        ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
        ServerSideEncryptionRule, VersioningConfiguration,
    },
};
use serde_json::json;

use crate::{
    aws::{self, code, failed},
    config::S3State,
    error::{Error, Result},
};

/// The one region whose buckets are made without saying where.
const FIRST_REGION: &str = "us-east-1";

/// Makes it, unless it is there; true if it was not. Each setting is made again, as a process that was killed may have
/// left some.
pub(super) async fn bucket(client: &Client, settings: &S3State) -> Result<bool> {
    let (name, account) = (&settings.bucket, &settings.aws);
    let doing = || format!("make the bucket {name}");
    let built = |error: aws_sdk_s3::error::BuildError| Error::failed(doing()).source(&error);
    let place = (account.region != FIRST_REGION).then(|| {
        let region = BucketLocationConstraint::from(account.region.as_str());
        CreateBucketConfiguration::builder().location_constraint(region).build()
    });
    let made = match client.create_bucket().bucket(name).set_create_bucket_configuration(place).send().await {
        Ok(_) => true,
        Err(error) if code(&error) == "BucketAlreadyOwnedByYou" => false,
        Err(error) => return Err(failed(doing(), "s3:CreateBucket", account, &error)),
    };
    let access = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let put = client.put_public_access_block().bucket(name).public_access_block_configuration(access).send().await;
    put.map_err(|error| failed(doing(), "s3:PutBucketPublicAccessBlock", account, &error))?;
    let by_default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
    let rule = ServerSideEncryptionRule::builder();
    let rule = rule.apply_server_side_encryption_by_default(by_default.build().map_err(built)?).build();
    let encryption = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(built)?;
    let put = client.put_bucket_encryption().bucket(name).server_side_encryption_configuration(encryption).send().await;
    put.map_err(|error| failed(doing(), "s3:PutEncryptionConfiguration", account, &error))?;
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = client.put_bucket_versioning().bucket(name).versioning_configuration(versioning).send().await;
    put.map_err(|error| failed(doing(), "s3:PutBucketVersioning", account, &error))?;
    // An emulator on this machine is spoken to without TLS: it would have to refuse us from then on.
    if account.endpoint.is_none() {
        let put = client.put_bucket_policy().bucket(name).policy(tls_only(name, &account.region)).send().await;
        put.map_err(|error| failed(doing(), "s3:PutBucketPolicy", account, &error))?;
    }
    Ok(made)
}

/// Denies everything that does not come over TLS.
fn tls_only(name: &str, region: &str) -> String {
    let arn = format!("arn:{}:s3:::{name}", aws::partition(region));
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::tls_only;

    #[test]
    fn what_comes_without_tls_is_denied_on_the_bucket_and_all_in_it() {
        let policy: serde_json::Value = serde_json::from_str(&tls_only("b", "us-gov-west-1")).expect("it is JSON");
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Resource"], serde_json::json!(["arn:aws-us-gov:s3:::b", "arn:aws-us-gov:s3:::b/*"]));
        assert_eq!((&statement["Effect"], &statement["Principal"]), (&"Deny".into(), &"*".into()));
        assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], "false");
        assert!(tls_only("b", "us-east-2").contains("arn:aws:s3:::b"));
    }
}
