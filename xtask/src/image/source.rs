//! What is being built: the commit, and the changes that are not in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Output,
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::reference::Tag;
use crate::error::{Error, Result};

/// Digits of a commit in a tag: enough to stay unique in any repository that fits on a disk.
const COMMIT_DIGITS: usize = 12;
/// Digits of the hash of uncommitted changes.
const CHANGES_DIGITS: usize = 8;

/// The state of the source tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The whole hash of the commit; none in a repository without commits.
    pub commit: Option<String>,
    /// When it was committed; the epoch without a commit.
    pub created: Timestamp,
    /// A hash of what differs from the commit, untracked files included; none in a clean tree.
    pub changes: Option<String>,
    /// Where the repository comes from, as a web address.
    pub url: Option<String>,
}

impl Source {
    /// `4f2c1e9b0d3a`, `4f2c1e9b0d3a-dirty-09af31c2` or, before the first commit, `uncommitted-09af31c2`.
    pub fn tag(&self) -> Tag {
        let changes = self.changes.as_deref().map(|changes| &changes[..CHANGES_DIGITS.min(changes.len())]);
        let text = match (&self.commit, changes) {
            (Some(commit), None) => commit[..COMMIT_DIGITS.min(commit.len())].to_owned(),
            (Some(commit), Some(changes)) => format!("{}-dirty-{changes}", &commit[..COMMIT_DIGITS.min(commit.len())]),
            (None, Some(changes)) => format!("uncommitted-{changes}"),
            (None, None) => "uncommitted".to_owned(),
        };
        text.parse().expect("made of hexadecimal digits and hyphens")
    }

    /// Whether the tag says all there is to say about the source.
    pub fn is_clean(&self) -> bool {
        self.commit.is_some() && self.changes.is_none()
    }
}

/// Asks git about the repository that `root` is in.
///
/// # Errors
/// When git is missing, or `root` is in no repository.
pub async fn inspect(root: &Path) -> Result<Source> {
    let (head, status, url) = tokio::try_join!(
        git(root, &["log", "-1", "--no-show-signature", "--format=%H %ct"]),
        // Paths below are relative to the top of the repository, which need not be `root`.
        git(root, &["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ":/"]),
        git(root, &["config", "--get", "remote.origin.url"]),
    )?;
    if !status.status.success() {
        return Err(not_a_repository(root, &status));
    }
    let (commit, created) = match head.status.success() {
        true => commit(&String::from_utf8_lossy(&head.stdout))
            .ok_or_else(|| Error::failed(format!("read the commit of {}", root.display())))
            .map(|(commit, created)| (Some(commit), created))?,
        // A repository without commits.
        false => (None, Timestamp::UNIX_EPOCH),
    };
    let mut changes = None;
    if !status.stdout.is_empty() {
        let top = git(root, &["rev-parse", "--show-toplevel"]).await?;
        let top = PathBuf::from(String::from_utf8_lossy(&top.stdout).trim_end());
        let hashed = tokio::task::spawn_blocking(move || hash_changes(&top, &status.stdout)).await;
        let failed = |error: &dyn std::error::Error| Error::failed("read the uncommitted changes").source(error);
        changes = Some(hashed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?);
    }
    let url = web_address(String::from_utf8_lossy(&url.stdout).trim());
    Ok(Source { commit, created, changes, url })
}

async fn git(root: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(arguments).kill_on_drop(true);
    // Looking must not touch the index, which another git may be writing.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command.output().await.map_err(|error| {
        let failure = Error::failed("run git, which names the version that is built");
        match error.kind() {
            io::ErrorKind::NotFound => failure.cause("there is no git on the PATH").hint("install git, then try again"),
            _ => failure.source(&error),
        }
    })
}

fn not_a_repository(root: &Path, output: &Output) -> Error {
    Error::failed(format!("find the git repository of {}", root.display()))
        .cause(String::from_utf8_lossy(&output.stderr).trim())
        .hint("versions are named after commits: git init && git add . && git commit")
}

fn commit(line: &str) -> Option<(String, Timestamp)> {
    let (commit, seconds) = line.trim().split_once(' ')?;
    Some((commit.to_owned(), Timestamp::from_second(seconds.parse().ok()?).ok()?))
}

/// Hashes the path and the present content of everything that `git status -z` lists.
fn hash_changes(top: &Path, status: &[u8]) -> io::Result<String> {
    let mut paths: Vec<&[u8]> = status.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..)).collect();
    paths.sort_unstable();
    let mut hasher = Sha256::new();
    for path in paths {
        let file = top.join(String::from_utf8_lossy(path).as_ref());
        let (kind, content) = match fs::symlink_metadata(&file) {
            Ok(metadata) if metadata.is_symlink() => {
                (b'l', fs::read_link(&file)?.into_os_string().into_encoded_bytes())
            }
            Ok(metadata) if metadata.is_file() => (b'f', fs::read(&file)?),
            // A submodule: its own commit is not ours to look into.
            Ok(_) => (b'd', Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (b'-', Vec::new()),
            Err(error) => return Err(error),
        };
        // Lengths keep one file's end from being taken for the next one's beginning.
        hasher.update((path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update([kind]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    Ok(hex::encode(hasher.finalize()))
}

/// A remote as a web address, without the credentials that it may hold; none for one on this machine.
fn web_address(remote: &str) -> Option<String> {
    let (host, path) = if let Some((scheme, rest)) = remote.split_once("://") {
        if !matches!(scheme, "http" | "https" | "ssh" | "git") {
            return None;
        }
        let (authority, path) = rest.split_once('/')?;
        let host = authority.rsplit('@').next()?;
        // The port is that of ssh, not of a web server.
        (if scheme == "ssh" { host.split(':').next()? } else { host }, path)
    } else {
        let (authority, path) = remote.split_once(':')?;
        if authority.contains('/') {
            return None;
        }
        (authority.rsplit('@').next()?, path)
    };
    let path = path.trim_matches('/').trim_end_matches(".git");
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_become_web_addresses_without_credentials() {
        for (remote, expected) in [
            ("https://github.com/o/r.git", Some("https://github.com/o/r")),
            ("https://user:token@github.com/o/r", Some("https://github.com/o/r")),
            ("http://host:8080/o/r.git/", Some("https://host:8080/o/r")),
            ("git@github.com:o/r.git", Some("https://github.com/o/r")),
            ("ssh://git@host:2222/o/r.git", Some("https://host/o/r")),
            ("/srv/repository", None),
            ("../other:x", None),
            ("file:///srv/repository", None),
            ("", None),
        ] {
            assert_eq!(web_address(remote).as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn tags_name_the_commit_and_the_changes() {
        let source = |commit: Option<&str>, changes: Option<&str>| Source {
            commit: commit.map(str::to_owned),
            created: Timestamp::UNIX_EPOCH,
            changes: changes.map(str::to_owned),
            url: None,
        };
        let (commit, changes) = ("4f2c1e9b0d3a55".repeat(3), "09af31c2aa".repeat(6));
        assert_eq!(source(Some(&commit), None).tag().as_str(), "4f2c1e9b0d3a");
        assert_eq!(source(Some(&commit), Some(&changes)).tag().as_str(), "4f2c1e9b0d3a-dirty-09af31c2");
        assert_eq!(source(None, Some(&changes)).tag().as_str(), "uncommitted-09af31c2");
    }
}
