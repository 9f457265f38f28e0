//! `.dockerignore`: which files of the repository are sent to a Dockerfile build.
//!
//! The rules are Docker's ("Build context", ".dockerignore files"): one pattern a line, relative to the root, `*` and
//! `?` within a component, `**` across components, `!` takes a path back in, the last match decides.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// The patterns in their order.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<(bool, Vec<String>)>,
}

impl Ignore {
    /// Reads `DOCKERFILE.dockerignore` or else the root's `.dockerignore`. What no build needs is always left out.
    pub(super) fn read(root: &Path, dockerfile: &Path) -> io::Result<Self> {
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        for path in [PathBuf::from(own), root.join(".dockerignore")] {
            match fs::read_to_string(path) {
                Ok(text) => return Ok(Self::parse(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::parse(""))
    }

    pub(super) fn parse(text: &str) -> Self {
        let lines = [".git", ".slipway", "target"].into_iter().chain(text.trim_start_matches('\u{feff}').lines());
        let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rules = lines.map(|line| {
            let (keep, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern.trim()));
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
            (keep, parts.map(str::to_owned).collect())
        });
        Self { rules: rules.filter(|(_, parts): &(bool, Vec<String>)| !parts.is_empty()).collect() }
    }

    /// Whether a path is left out; a pattern that matches a folder matches all that is in it.
    pub(super) fn ignores(&self, path: &Path) -> bool {
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let matched = |pattern: &Vec<String>| (1..=parts.len()).any(|end| matches(pattern, &parts[..end]));
        self.rules.iter().rev().find(|(_, pattern)| matched(pattern)).is_some_and(|(keep, _)| !keep)
    }

    /// Every file and symbolic link that is sent, sorted, relative to the root.
    pub(super) fn files(&self, root: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let (mut found, mut pending) = (BTreeSet::new(), vec![PathBuf::new()]);
        let takes_back = self.rules.iter().any(|(keep, _)| *keep);
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let (kind, ignored) = (entry.file_type()?, self.ignores(&path));
                if kind.is_dir() {
                    // Something below an ignored folder may be taken back in, if anything is.
                    if !ignored || (takes_back && !matches!(path.to_str(), Some(".git" | ".slipway" | "target"))) {
                        pending.push(path);
                    }
                } else if !ignored && (kind.is_file() || kind.is_symlink()) {
                    found.insert(path);
                }
            }
        }
        Ok(found)
    }
}

/// A file's content, or a link's target.
pub(super) fn content(path: &Path) -> io::Result<Vec<u8>> {
    match fs::symlink_metadata(path)?.is_symlink() {
        true => Ok(fs::read_link(path)?.into_os_string().into_encoded_bytes()),
        false => fs::read(path),
    }
}

fn matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([first, rest @ ..], _) if first == "**" => (0..=path.len()).any(|skip| matches(rest, &path[skip..])),
        ([first, rest @ ..], [name, below @ ..]) => glob(first.as_bytes(), name.as_bytes()) && matches(rest, below),
        _ => false,
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| glob(rest, &name[skip..])),
        ([b'?', rest @ ..], [_, below @ ..]) => glob(rest, below),
        ([b'\\', literal, rest @ ..], [byte, below @ ..]) => literal == byte && glob(rest, below),
        ([literal, rest @ ..], [byte, below @ ..]) => literal == byte && glob(rest, below),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_dockers_rules() {
        let ignore = Ignore::parse("# words\n*.md\n!README.md\n**/*.log\n/docs/\nsrc/*/x?\n\n");
        for (path, expected) in [
            ("target/debug/app", true),
            (".git/HEAD", true),
            ("NOTES.md", true),
            ("README.md", false),
            ("sub/NOTES.md", false),
            ("a.log", true),
            ("a/b/c.log", true),
            ("docs/a/b.txt", true),
            ("other/docs/a", false),
            ("src/a/x1", true),
            ("src/a/x12", false),
            ("src/a/x1/deep", true),
            ("Cargo.toml", false),
        ] {
            assert_eq!(ignore.ignores(Path::new(path)), expected, "{path}");
        }
        let only = Ignore::parse("*\n!app\napp/secret");
        assert!(only.ignores(Path::new("xtask/src/main.rs")));
        assert!(!only.ignores(Path::new("app/src/main.rs")));
        assert!(only.ignores(Path::new("app/secret")));
    }
}
