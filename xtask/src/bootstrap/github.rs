//! A repository on GitHub, as the tokens of its jobs name it.

use std::{fmt, str::FromStr};

/// The repository whose jobs are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Github {
    pub(crate) repository: Repository,
    /// The numbers of owner and repository, which tokens of repositories made since 15 July 2026 carry: a name that is
    /// given up may be taken by somebody else, a number may not.
    pub(crate) ids: Option<(u64, u64)>,
}

/// `OWNER/NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

impl Github {
    /// The subject of tokens for jobs in an environment.
    pub(crate) fn subject(&self, environment: &str) -> String {
        let Repository { owner, name } = &self.repository;
        match self.ids {
            Some((of_owner, of_name)) => format!("repo:{owner}@{of_owner}/{name}@{of_name}:environment:{environment}"),
            None => format!("repo:{owner}/{name}:environment:{environment}"),
        }
    }
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word =
            |text: &str| !text.is_empty() && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one));
        match text.split_once('/') {
            Some((owner, name)) if word(owner) && word(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err("a repository is OWNER/NAME".to_owned()),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}
