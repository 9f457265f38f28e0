//! The files of a tree: each kustomization may read what lies in its own directory or below.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The directory of a kustomization, within the repository.
pub(super) struct Scope<'build> {
    pub(super) root: &'build Path,
    pub(super) directory: &'build Path,
}

impl Scope<'_> {
    /// Reads a file that the kustomization names.
    ///
    /// # Errors
    /// What is wrong: it is not there, or outside of the directory; a link counts as what it leads to.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let full = self.path(path);
        let shown = show(self.root, &full);
        let real = |path: &Path| fs::canonicalize(path).map_err(|error| format!("cannot read {shown}: {error}"));
        if !full.exists() {
            return Err(format!("there is no {shown}"));
        }
        if !real(&full)?.starts_with(real(self.directory)?) {
            return Err(format!("{shown} is outside of {}", show(self.root, self.directory)));
        }
        fs::read(&full).map_err(|error| format!("cannot read {shown}: {error}"))
    }

    /// Reads a file of text.
    ///
    /// # Errors
    /// Those of [`Scope::read`]; it is not UTF-8.
    pub(super) fn text(&self, path: &str) -> Result<String, String> {
        String::from_utf8(self.read(path)?).map_err(|_| format!("{} is not UTF-8", self.show(path)))
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        clean(&self.directory.join(path))
    }

    /// A path as messages show it: from the repository's root.
    pub(super) fn show(&self, path: &str) -> String {
        show(self.root, &self.path(path))
    }
}

/// A path as messages show it: from the repository's root.
pub(super) fn show(root: &Path, path: &Path) -> String {
    let path = clean(path);
    let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    if shown.is_empty() { ".".to_owned() } else { shown }
}

/// Takes `..` out of a path, without asking the file system.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}
