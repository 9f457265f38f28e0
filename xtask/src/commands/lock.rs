//! One command at a time changes what this repository deploys.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek as _, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Held until it is dropped; the system lets go of it when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "the lock lives as long as the open file")] File);

/// Who holds it, for those who want it, too.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    command: String,
    since: jiff::Timestamp,
}

/// Takes the repository's lock, or says who has it.
pub(super) fn take(root: &Path, command: &str) -> Result<Lock> {
    let path = root.join(".slipway").join("pipeline.lock");
    let failed = |error: &std::io::Error| Error::failed(format!("lock {}", path.display())).source(error);
    fs::create_dir_all(root.join(".slipway")).map_err(|error| failed(&error))?;
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
        Err(TryLockError::WouldBlock) => return Err(held(&path)),
    }
    let holder =
        Holder { pid: std::process::id(), command: format!("cargo xtask {command}"), since: jiff::Timestamp::now() };
    let text = serde_json::to_string(&holder).map_err(|error| Error::failed("write the lock").source(&error))?;
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()))
        .map_err(|error| failed(&error))?;
    Ok(Lock(file))
}

fn held(path: &Path) -> Error {
    let holder = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
    let error = Error::failed("another command is changing this repository's environments");
    let error = match holder {
        Some(Holder { pid, command, since }) => {
            let seconds = jiff::Timestamp::now().duration_since(since).as_secs().max(0);
            error.cause(format!("{command} (process {pid}), for {seconds} s"))
        }
        // Taken a moment ago and not yet signed.
        None => error,
    };
    error.hint("wait until it is done, then run this again")
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn the_second_is_told_who_is_first() {
        let root = std::env::temp_dir().join(format!("slipway-lock-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("create a directory");
        let first = take(&root, "deploy").expect("it is free");
        let error = take(&root, "destroy").expect_err("it is held");
        assert_eq!(error.message, "another command is changing this repository's environments");
        let cause = error.causes.first().expect("it names the holder");
        assert!(cause.starts_with(&format!("cargo xtask deploy (process {}), for ", std::process::id())), "{cause}");
        drop(first);
        take(&root, "destroy").expect("it is free again");
        std::fs::remove_dir_all(&root).expect("remove the directory");
    }
}
