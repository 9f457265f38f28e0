//! What of an environment is on AWS: the account, the registry, the buckets, the secrets; [`Eks`] has a file of its own.

mod eks;
mod forms;
mod nodes;
mod read;
mod read_eks;

use serde::{Deserialize, Serialize};

pub use eks::{
    Access, AccessPolicy, Addon, AddonVersion, Conflicts, Eks, Endpoint, Identity, LogType, Nat, Network, Scope,
    SecretsEncryption, Statement, UpgradePolicy,
};
pub use nodes::{Ami, Architecture, Capacity, Effect, MaxUnavailable, Nodegroup, Size, Taint, UpdateStrategy};
pub(super) use read::{account, ecr, secrets, state, uploads};
pub(super) use read_eks::eks;

/// The account and the region that all of an environment is in. Nothing is done as long as the caller's account is
/// another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// 12 digits.
    pub account: String,
    /// `us-east-2`
    pub region: String,
    /// The profile of `~/.aws/config`; without one the SDK's chain of providers decides.
    pub profile: Option<String>,
    /// An emulator's address on this machine, `http://127.0.0.1:4566`, that takes the place of all of AWS.
    pub endpoint: Option<String>,
}

/// A registry in ECR. Its repositories are made when they are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ecr {
    /// Where it is.
    pub aws: Aws,
    /// The repository of the images, with [`super::SERVICE`] for the service's name.
    pub repository: String,
    /// Whether a tag names the same image for ever.
    pub immutable_tags: bool,
    /// Whether images are looked through for known vulnerabilities when they come.
    pub scan_on_push: bool,
    /// How layers are encrypted; it cannot be changed later.
    pub encryption: EcrEncryption,
    /// How many images stay beside those that a kept release runs.
    pub keep: u32,
}

/// How ECR encrypts layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EcrEncryption {
    /// By S3, with its own keys.
    Aes256,
    /// By a KMS key; without an ARN by the one that AWS manages for ECR.
    Kms(Option<String>),
}

/// Where releases are recorded and locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In the cluster that they run in.
    Cluster,
    /// In a bucket.
    S3(S3State),
}

/// A bucket of records, locks and saved plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3State {
    /// Where it is.
    pub aws: Aws,
    /// Its name.
    pub bucket: String,
}

/// A bucket that the service keeps what it is given in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// Where it is.
    pub aws: Aws,
    /// Its name.
    pub bucket: String,
}

/// A Kubernetes Secret whose values come from AWS at apply time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// Where its values are.
    pub aws: Aws,
    /// The name of the Kubernetes Secret, in the service's namespace.
    pub name: String,
    /// Its keys, each with a value.
    pub values: Vec<SecretValue>,
}

/// A value of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretValue {
    /// The key in the Kubernetes Secret.
    pub key: String,
    /// Where it comes from.
    pub from: SecretOrigin,
}

/// Where a value is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretOrigin {
    /// In Secrets Manager.
    SecretsManager {
        /// Name or ARN of the secret.
        secret: String,
        /// The version's id; without one the version that is current when a release is planned.
        version: Option<String>,
        /// The key of a secret that is a JSON object; without one all of the secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// In Parameter Store.
    #[serde(rename = "parameter_store")]
    Parameter {
        /// The parameter's name, `/demo/staging/key`.
        parameter: String,
        /// Its version; without one the version that is current when a release is planned.
        version: Option<u32>,
    },
}

#[cfg(test)]
mod tests;
