//! An EKS cluster and what belongs to it, as far as it can be configured.

use serde_json::Value;

use super::{Aws, nodes::Nodegroup};

use std::time::Duration;

/// A cluster, from its network to who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eks {
    /// Where it is.
    pub aws: Aws,
    /// Its name, unlike that of any other cluster in the account and region.
    pub name: String,
    /// `1.35`
    pub version: String,
    /// What happens when the version's standard support ends.
    pub upgrade_policy: UpgradePolicy,
    /// How long an upgraded control plane is watched before its nodes follow.
    pub soak: Duration,
    /// From where its API is reached.
    pub endpoint: Endpoint,
    /// The logs of the control plane that go to CloudWatch.
    pub logging: Vec<LogType>,
    /// Whose key encrypts what its API stores.
    pub secrets_encryption: SecretsEncryption,
    /// Whether AWS refuses to delete it.
    pub deletion_protection: bool,
    /// Where its nodes are.
    pub network: Network,
    /// Its nodes; no two groups have a name in common.
    pub nodegroups: Vec<Nodegroup>,
    /// Software that EKS keeps in it; each once.
    pub addons: Vec<Addon>,
    /// Who may use its API beside the nodes; each principal once, and at least one who may do everything.
    pub access: Vec<Access>,
    /// Which pods may use AWS; each service account once.
    pub workload_identity: Vec<Identity>,
}

/// What happens when a version's standard support ends: <https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradePolicy {
    /// AWS upgrades the cluster.
    Standard,
    /// The version stays a year longer, at six times the price.
    Extended,
}

/// From where the cluster's API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// From its network only.
    Private,
    /// From these blocks of addresses; nodes go out to it, too.
    Public(Vec<String>),
    /// From its network, and from these blocks of addresses.
    Both(Vec<String>),
}

/// A log of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogType {
    /// The API server's.
    Api,
    /// Who did what.
    Audit,
    /// How IAM principals became users.
    Authenticator,
    /// The controllers'.
    ControllerManager,
    /// The scheduler's.
    Scheduler,
}

impl LogType {
    /// All of them, as AWS calls them.
    pub const WORDS: [(&str, Self); 5] = [
        ("api", Self::Api),
        ("audit", Self::Audit),
        ("authenticator", Self::Authenticator),
        ("controllerManager", Self::ControllerManager),
        ("scheduler", Self::Scheduler),
    ];
}

/// Whose key encrypts what the API stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsEncryption {
    /// A key that AWS owns.
    AwsOwned,
    /// The KMS key of this ARN. It cannot be taken back.
    Kms(String),
}

/// Where nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A VPC of its own, with a public and a private subnet in each zone.
    New {
        /// Its addresses, a block of /16 to /20.
        cidr: String,
        /// Two or three zones of the region.
        zones: Vec<String>,
        /// How private nodes reach the internet.
        nat: Nat,
    },
    /// Subnets that are there, in at least two zones.
    Existing {
        /// Where nodes go, if there are any.
        private: Vec<String>,
        /// Where public load balancers go, and nodes if there is no private one.
        public: Vec<String>,
    },
}

/// How nodes of a new network reach the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// Nodes are in the public subnets and have public addresses.
    None,
    /// By one gateway; when its zone fails, nodes of all zones lose their way out.
    Single,
    /// By a gateway in each zone.
    PerZone,
}

/// Software that EKS keeps in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// `vpc-cni`
    pub name: String,
    /// Which version.
    pub version: AddonVersion,
    /// What happens to values that somebody changed in the cluster.
    pub conflicts: Conflicts,
    /// Its configuration, by the schema that the add-on has for it.
    pub configuration: Option<Value>,
}

/// Which version of an add-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddonVersion {
    /// The one that EKS recommends for the cluster's version.
    Default,
    /// The newest for the cluster's version.
    Latest,
    /// `v1.20.1-eksbuild.3`
    Exact(String),
}

/// What happens to values of an add-on that somebody changed in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// They are set back.
    Overwrite,
    /// They stay.
    Preserve,
    /// The change of the add-on fails.
    Fail,
}

/// An IAM principal that may use the cluster's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The ARN of a role or a user.
    pub principal: String,
    /// What it may do; each policy once.
    pub policies: Vec<AccessPolicy>,
    /// The Kubernetes groups that it belongs to.
    pub groups: Vec<String>,
}

/// One of EKS's access policies: <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPolicy {
    /// `AmazonEKSViewPolicy`
    pub name: String,
    /// Where it holds.
    pub scope: Scope,
}

/// Where an access policy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In all of the cluster.
    Cluster,
    /// In these namespaces.
    Namespaces(Vec<String>),
}

/// A service account whose pods may use AWS, by EKS Pod Identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespace of the service account.
    pub namespace: String,
    /// Its name.
    pub service_account: String,
    /// ARNs of managed policies.
    pub policies: Vec<String>,
    /// What else its pods may do.
    pub statements: Vec<Statement>,
}

/// What an identity may do: an IAM statement that allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `s3:GetObject`
    pub actions: Vec<String>,
    /// ARNs.
    pub resources: Vec<String>,
}
