//! What was built last, so that the same input needs no second build.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The last build of a service's image. It is a hint, never the truth: one that is missing, half-written or of another version
/// only costs a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The hash of everything that it was made from.
    pub(super) fingerprint: String,
    /// The folders that the hash looked into.
    pub(super) folders: Vec<PathBuf>,
    /// The image's name, with the tag.
    pub(super) name: String,
    pub(super) tag: String,
    /// Whether the tag is that of a commit alone.
    pub(super) clean: bool,
    /// The Engine's id of the image.
    pub(super) id: String,
    /// The size of its layers, in bytes.
    pub(super) size: u64,
    /// The hash of the binary, to tell a change of the sources that changed nothing.
    pub(super) binary: Option<String>,
    /// The ids of the images that builds here have made and not removed, by name.
    #[serde(default)]
    pub(super) made: BTreeMap<String, String>,
}

fn path(root: &Path, service: &str) -> PathBuf {
    root.join(".slipway").join(format!("image-{service}.json"))
}

/// The records of all services.
pub(super) fn all(root: &Path) -> Vec<Record> {
    let files = fs::read_dir(root.join(".slipway")).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter_map(|name| read(root, name.strip_prefix("image-")?.strip_suffix(".json")?)).collect()
}

pub(super) fn read(root: &Path, service: &str) -> Option<Record> {
    serde_json::from_slice(&fs::read(path(root, service)).ok()?).ok()
}

pub(super) fn write(root: &Path, service: &str, record: &Record) -> Result<()> {
    let path = path(root, service);
    let save = || -> io::Result<()> {
        fs::create_dir_all(root.join(".slipway"))?;
        let scratch = path.with_extension(format!("json.{}", std::process::id()));
        fs::write(&scratch, serde_json::to_vec_pretty(record)?)?;
        fs::rename(&scratch, &path)
    };
    save().map_err(|error| Error::failed(format!("write {}", path.display())).source(&error))
}
