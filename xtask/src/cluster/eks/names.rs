//! What things of a cluster are called on AWS.

use crate::{aws, config::Eks};

/// Marks what a deploy made; its value is the environment.
pub(crate) const TAG: &str = "slipway.dev/environment";

/// The stack of its network.
pub(super) fn network(eks: &Eks) -> String {
    format!("{}-network", eks.name)
}

/// The stack of its roles.
pub(super) fn roles(eks: &Eks) -> String {
    format!("{}-roles", eks.name)
}

/// The ARN of one of EKS's access policies.
pub(super) fn policy(region: &str, name: &str) -> String {
    let partition = aws::partition(region);
    format!("arn:{partition}:eks::aws:cluster-access-policy/{name}")
}
