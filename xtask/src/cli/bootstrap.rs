//! Options of `bootstrap`.

use clap::Args;

use super::Reporting;
use crate::bootstrap::github::Repository;

pub(super) const EXAMPLES: &str = "Examples:
  cargo xtask bootstrap --env staging
  cargo xtask bootstrap --env staging --github octo/app --org-id 583231 --repo-id 1296269

The numbers are those that tokens of repositories made since 15 July 2026 carry:
  gh api repos/octo/app --jq '.owner.id, .id'";

/// Options of `bootstrap`.
#[derive(Debug, Args)]
pub struct Bootstrap {
    /// The environment and the format.
    #[command(flatten)]
    pub common: Reporting,
    /// The repository whose jobs take the roles; without it no role is made
    #[arg(long, value_name = "OWNER/NAME")]
    pub github: Option<Repository>,
    /// The number of its owner, which tokens of newer repositories carry
    #[arg(long, value_name = "NUMBER", requires_all = ["github", "repo_id"])]
    pub org_id: Option<u64>,
    /// Its own number
    #[arg(long, value_name = "NUMBER", requires = "org_id")]
    pub repo_id: Option<u64>,
    /// The account trusts GitHub already: leave that as it is
    #[arg(long, requires = "github")]
    pub existing_provider: bool,
}
