//! The directory. Content lies once, under its digest; a repository is links to it.
//!
//! ```text
//! blobs/sha256/HEX                                  content of blobs and manifests
//! repositories/NAME/_blobs/sha256/HEX               empty: the repository has this blob
//! repositories/NAME/_manifests/sha256/HEX           media type: the repository has this manifest
//! repositories/NAME/_tags/TAG                       the digest of a manifest
//! repositories/NAME/_referrers/sha256/HEX/sha256/HEX  empty: the second manifest has the first one as its subject
//! uploads/UUID                                      files being written
//! ```
//!
//! No component of a name starts with an underscore, so a repository's own folders can't be mistaken for nested
//! repositories. Every file appears by a rename of a complete one, content before the links to it: killed at any
//! point, the registry shows whole things or nothing.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::name::{Digest, Name, Tag};

/// The folders of a repository.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    Blob,
    Manifest,
}

#[derive(Debug)]
pub(super) struct Storage {
    root: PathBuf,
}

impl Storage {
    /// Takes the directory over; uploads of an earlier process can't be resumed and are removed.
    pub(super) fn open(root: &Path) -> Self {
        let storage = Self { root: root.to_owned() };
        if let Err(error) = ignore_missing(fs::remove_dir_all(storage.uploads())) {
            tracing::warn!(%error, "removing abandoned uploads");
        }
        storage
    }

    fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// A new empty file that [`Storage::keep`] can move into place.
    pub(super) fn scratch(&self) -> io::Result<(PathBuf, fs::File)> {
        fs::create_dir_all(self.uploads())?;
        let path = self.uploads().join(uuid::Uuid::new_v4().to_string());
        let file = fs::OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        Ok((path, file))
    }

    pub(super) fn content(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Makes a complete file the content of its digest.
    pub(super) fn keep(&self, file: &fs::File, path: &Path, digest: &Digest) -> io::Result<()> {
        // A name that says the content is whole must not outlive a power cut that the content did not survive.
        file.sync_all()?;
        place(path, &self.content(digest))
    }

    fn repository(&self, name: &Name) -> PathBuf {
        self.root.join("repositories").join(name.as_str())
    }

    fn link_path(&self, name: &Name, link: Link, digest: &Digest) -> PathBuf {
        let folder = match link {
            Link::Blob => "_blobs",
            Link::Manifest => "_manifests",
        };
        self.repository(name).join(folder).join(digest.algorithm().name()).join(digest.hex())
    }

    pub(super) fn link(&self, name: &Name, link: Link, digest: &Digest, text: &str) -> io::Result<()> {
        self.write(&self.link_path(name, link, digest), text)
    }

    /// The text of the link, or nothing if the repository does not have it.
    pub(super) fn linked(&self, name: &Name, link: Link, digest: &Digest) -> io::Result<Option<String>> {
        read(&self.link_path(name, link, digest))
    }

    /// Whether the link was there.
    pub(super) fn unlink(&self, name: &Name, link: Link, digest: &Digest) -> io::Result<bool> {
        remove(&self.link_path(name, link, digest))
    }

    pub(super) fn exists(&self, name: &Name) -> bool {
        let repository = self.repository(name);
        ["_blobs", "_manifests"].iter().any(|folder| repository.join(folder).is_dir())
    }

    fn tag_path(&self, name: &Name, tag: &Tag) -> PathBuf {
        self.repository(name).join("_tags").join(tag.as_str())
    }

    pub(super) fn set_tag(&self, name: &Name, tag: &Tag, digest: &Digest) -> io::Result<()> {
        self.write(&self.tag_path(name, tag), &digest.to_string())
    }

    pub(super) fn tag(&self, name: &Name, tag: &Tag) -> io::Result<Option<Digest>> {
        Ok(read(&self.tag_path(name, tag))?.and_then(|text| Digest::parse(&text).ok()))
    }

    pub(super) fn remove_tag(&self, name: &Name, tag: &Tag) -> io::Result<bool> {
        remove(&self.tag_path(name, tag))
    }

    /// In byte order, which is the order that pagination promises.
    pub(super) fn tags(&self, name: &Name) -> io::Result<BTreeSet<String>> {
        names(&self.repository(name).join("_tags"))
    }

    fn referrers_path(&self, name: &Name, subject: &Digest) -> PathBuf {
        self.repository(name).join("_referrers").join(subject.algorithm().name()).join(subject.hex())
    }

    pub(super) fn add_referrer(&self, name: &Name, subject: &Digest, referrer: &Digest) -> io::Result<()> {
        let path = self.referrers_path(name, subject).join(referrer.algorithm().name()).join(referrer.hex());
        self.write(&path, "")
    }

    pub(super) fn remove_referrer(&self, name: &Name, subject: &Digest, referrer: &Digest) -> io::Result<bool> {
        remove(&self.referrers_path(name, subject).join(referrer.algorithm().name()).join(referrer.hex()))
    }

    pub(super) fn referrers(&self, name: &Name, subject: &Digest) -> io::Result<Vec<Digest>> {
        let folder = self.referrers_path(name, subject);
        let mut found = Vec::new();
        for algorithm in names(&folder)? {
            for hex in names(&folder.join(&algorithm))? {
                found.extend(Digest::parse(&format!("{algorithm}:{hex}")));
            }
        }
        Ok(found)
    }

    /// Every repository, in byte order.
    pub(super) fn repositories(&self) -> io::Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut pending = vec![String::new()];
        while let Some(prefix) = pending.pop() {
            for name in names(&self.root.join("repositories").join(&prefix))? {
                match name.starts_with('_') {
                    true => found.insert(prefix.clone()),
                    false if prefix.is_empty() => {
                        pending.push(name);
                        true
                    }
                    false => {
                        pending.push(format!("{prefix}/{name}"));
                        true
                    }
                };
            }
        }
        Ok(found)
    }

    fn write(&self, target: &Path, text: &str) -> io::Result<()> {
        let (path, mut file) = self.scratch()?;
        file.write_all(text.as_bytes())?;
        place(&path, target)
    }
}

fn place(path: &Path, target: &Path) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(path, target)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
