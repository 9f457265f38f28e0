//! Files that appear in containers all at once: each version in a directory of its own, and a link that is switched.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

/// A file's content and permission bits, by its path under the volume.
pub(super) type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// The link to the current version.
const CURRENT: &str = "..data";

/// Makes the directory show exactly these files; `group` is the pod's `fsGroup`. Unchanged content is left alone.
pub(super) fn write(directory: &Path, files: &Files, group: Option<i64>) -> io::Result<()> {
    let link = directory.join(CURRENT);
    let old = fs::read_link(&link).ok();
    if old.is_some() && same(&link, files) {
        return Ok(());
    }
    create(directory)?;
    let version = format!("..{}", jiff::Timestamp::now().as_nanosecond());
    let fresh = directory.join(&version);
    create(&fresh)?;
    for (path, (data, mode)) in files {
        let file = fresh.join(path);
        if let Some(parent) = file.parent() {
            create(parent)?;
        }
        fs::write(&file, data)?;
        let mut mode = *mode;
        if let Some(group) = group.and_then(|group| u32::try_from(group).ok()) {
            mode |= 0o440;
            // Only root may give a file to another group; the directories above are closed to other users anyway.
            if chown(&file, None, Some(group)).is_err() {
                mode |= 0o444;
            }
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
    }
    let next = directory.join("..data_tmp");
    let _ = fs::remove_file(&next);
    symlink(&version, &next)?;
    fs::rename(&next, &link)?;
    publish(directory, files)?;
    if let Some(old) = old {
        let _ = fs::remove_dir_all(directory.join(old));
    }
    Ok(())
}

/// A link a name at the top, through the current version; links of names that are gone are removed.
fn publish(directory: &Path, files: &Files) -> io::Result<()> {
    let tops: Vec<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for top in &tops {
        match symlink(Path::new(CURRENT).join(top), directory.join(top)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("..") && !tops.iter().any(|top| *top == name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn create(directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        fs::create_dir_all(directory)?;
        // Whatever the umask: the container's user is another one.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn same(current: &Path, files: &Files) -> bool {
    let mut count = 0;
    let mut stack = vec![current.to_owned()];
    while let Some(directory) = stack.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { return false };
        for entry in entries.flatten() {
            if entry.path().is_dir() {
                stack.push(entry.path());
            } else {
                count += 1;
            }
        }
    }
    count == files.len()
        && files.iter().all(|(path, (data, _))| fs::read(current.join(path)).is_ok_and(|found| found == *data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, text: &str) -> Files {
        Files::from([(path.to_owned(), (text.as_bytes().to_vec(), 0o644))])
    }

    #[test]
    fn switches_versions_and_drops_what_is_gone() {
        let directory = std::env::temp_dir().join(format!("slipway-files-{}", std::process::id()));
        write(&directory, &one("a", "1"), None).unwrap();
        let first = fs::read_link(directory.join(CURRENT)).unwrap();
        write(&directory, &one("a", "1"), None).unwrap();
        assert_eq!(fs::read_link(directory.join(CURRENT)).unwrap(), first, "unchanged content keeps its version");
        write(&directory, &one("sub/b", "2"), None).unwrap();
        assert_eq!(fs::read_to_string(directory.join("sub/b")).unwrap(), "2");
        assert!(fs::symlink_metadata(directory.join("a")).is_err());
        assert!(!directory.join(first).exists(), "the old version is removed");
        fs::remove_dir_all(directory).unwrap();
    }
}
