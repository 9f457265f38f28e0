//! Options of the commands about releases.

use std::{fmt, str::FromStr, time::Duration};

use clap::Args;

use super::{Changes, Report, Target};
use crate::config::parse_duration;

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
    /// The number of the release to go back to, of one service
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<u64>,
    /// Agree to what is planned, where release.consent is required
    #[arg(long)]
    pub yes: bool,
    /// Also to a release that never ran as it should
    #[arg(long, requires = "to")]
    pub force: bool,
    /// What may be changed.
    #[command(flatten)]
    pub changes: Changes,
    /// Wait that long for another command that holds the lock, 5m for example, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait_lock: Option<Duration>,
}

/// Options of `promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The environment whose last release it is; that must have succeeded
    #[arg(long, value_name = "NAME")]
    pub from: String,
    /// The environment that it goes to
    #[arg(long, alias = "env", value_name = "NAME")]
    pub to: String,
    /// The service, where an environment has several
    #[arg(long = "service", value_name = "NAME")]
    pub services: Vec<String>,
    /// The format.
    #[command(flatten)]
    pub report: Report,
    /// What may be changed.
    #[command(flatten)]
    pub changes: Changes,
    /// Agree to what is planned, where release.consent is required
    #[arg(long)]
    pub yes: bool,
    /// Wait that long for another command that holds the lock, 5m for example, instead of failing at once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait_lock: Option<Duration>,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The number of the release
    #[arg(value_name = "NUMBER")]
    pub number: u64,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The number of a release
    #[arg(value_name = "FROM")]
    pub from: u64,
    /// The number of another one, or `live` for what runs
    #[arg(value_name = "TO")]
    pub to: Side,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
    /// The format.
    #[command(flatten)]
    pub report: Report,
}

/// What a release is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Another release.
    Release(u64),
    /// What runs.
    Live,
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            number => number.parse().map(Self::Release).map_err(|_| "neither a number nor `live`".to_owned()),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(number) => number.fmt(formatter),
            Self::Live => formatter.write_str("live"),
        }
    }
}

/// Options of `unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The id of the lock, as whoever found it held was told; its first eight digits are enough
    #[arg(value_name = "ID")]
    pub id: String,
    /// The environment.
    #[command(flatten)]
    pub target: Target,
}
