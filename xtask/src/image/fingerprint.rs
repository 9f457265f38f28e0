//! What an image is made from, as one hash: the same hash needs no second build.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::{archive, ignore::Ignore, toolchain::Toolchain};
use crate::{
    config::{Builder, Image, variables},
    error::{Error, Result},
};

/// Changes when the same sources make another image: with each change to the flags, the layers or the labels.
const LAYOUT: &str = "1";

/// Files of the root that decide how the package is compiled.
const ROOT_FILES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml", ".cargo/config"];

/// The folders of the package and of its path dependencies, relative to the root, as cargo tells.
///
/// # Errors
/// What cargo says, for example that a manifest is invalid.
pub async fn folders(root: &Path, package: &str) -> Result<Vec<PathBuf>> {
    let mut command = Command::new(variables::cargo());
    command.current_dir(root).args(["metadata", "--format-version=1", "--no-deps"]).kill_on_drop(true);
    let failed = || Error::failed("ask cargo for the packages");
    let output = command.output().await.map_err(|error| failed().source(&error))?;
    if !output.status.success() {
        return Err(failed().cause(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed().source(&error))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let by_folder = |folder: &Path| packages.iter().find(|package| manifest_folder(package) == Some(folder));
    let Some(first) = packages.iter().find(|candidate| candidate["name"] == package) else {
        let mut names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
        names.sort_unstable();
        return Err(Error::usage(format!("there is no package `{package}` in {}", root.display()))
            .hint(format!("set image.package to one of: {}", names.join(", "))));
    };
    let mut found = BTreeSet::new();
    let mut pending: Vec<PathBuf> = manifest_folder(first).map(Path::to_owned).into_iter().collect();
    while let Some(folder) = pending.pop() {
        if found.insert(folder.clone()) {
            let dependencies = by_folder(&folder).and_then(|package| package["dependencies"].as_array());
            // Those for tests change nothing in the binary.
            let built = dependencies.into_iter().flatten().filter(|dependency| dependency["kind"] != "dev");
            pending.extend(built.filter_map(|dependency| dependency["path"].as_str()).map(PathBuf::from));
        }
    }
    Ok(found.into_iter().map(|path| path.strip_prefix(root).map(Path::to_owned).unwrap_or(path)).collect())
}

fn manifest_folder(package: &Value) -> Option<&Path> {
    package["manifest_path"].as_str().and_then(|path| Path::new(path).parent())
}

/// Hashes everything that decides what the image is.
///
/// # Errors
/// When a file can't be read.
pub(super) fn compute(
    root: &Path,
    image: &Image,
    folders: &[PathBuf],
    toolchain: Option<&Toolchain>,
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut part = |name: &str, content: &[u8]| {
        for bytes in [name.as_bytes(), content] {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    };
    part("layout", LAYOUT.as_bytes());
    part("package", image.package.as_bytes());
    part("profile", image.profile.as_bytes());
    match &image.builder {
        Builder::Host => {
            part("toolchain", toolchain.map(|toolchain| toolchain.description.as_bytes()).unwrap_or_default());
            part("base", &archive::base_layer()?);
            for name in ROOT_FILES {
                part(name, &read_optional(&root.join(name))?);
            }
            for folder in folders {
                for path in files(&root.join(folder))? {
                    part(&path.to_string_lossy(), &fs::read(root.join(folder).join(&path))?);
                }
            }
        }
        Builder::Dockerfile { file } => {
            part("dockerfile", &read_optional(file)?);
            for path in Ignore::read(root, file)?.files(root)? {
                part(&path.to_string_lossy(), &super::ignore::content(&root.join(&path))?);
            }
        }
    }
    Ok(hex::encode(hasher.finalize()))
}

fn read_optional(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        other => other,
    }
}

/// The files of a package, sorted; nested packages have their own place in the list of folders, or none.
fn files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let (mut found, mut pending) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(relative) = pending.pop() {
        for entry in fs::read_dir(folder.join(&relative))? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), relative.join(entry.file_name()));
            let kind = fs::metadata(entry.path()).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() => {
                    let is_other = name == "target" || name.to_string_lossy().starts_with('.');
                    if !is_other && !entry.path().join("Cargo.toml").exists() {
                        pending.push(path);
                    }
                }
                Ok(kind) if kind.is_file() => {
                    found.insert(path);
                }
                _ => {}
            }
        }
    }
    Ok(found)
}
