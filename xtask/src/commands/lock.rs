//! What commands in one checkout do not do at the same time. Who may change a service in a cluster is decided there,
//! by [`crate::release::Lock`].

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    ui::Step,
};

/// How often a lock that is waited for is tried.
const POLL: Duration = Duration::from_millis(50);

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

/// Takes the checkout for a command that leaves nothing to others, or says who uses it.
pub(super) fn take(root: &Path, command: &str) -> Result<Lock> {
    pipeline(root, command, File::try_lock)
}

/// Takes the checkout for a command that others like it may run beside.
pub(super) fn share(root: &Path, command: &str) -> Result<Lock> {
    pipeline(root, command, File::try_lock_shared)
}

/// Waits until nobody else builds in the checkout.
pub(super) async fn build(root: &Path, step: &Step) -> Result<Lock> {
    let (file, path) = open(root, "build.lock")?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
            Err(TryLockError::WouldBlock) => step.progress("waiting for another build in this checkout"),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn pipeline(root: &Path, command: &str, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Lock> {
    let (mut file, path) = open(root, "pipeline.lock")?;
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
        Err(TryLockError::WouldBlock) => return Err(held(&path)),
    }
    let holder =
        Holder { pid: std::process::id(), command: format!("cargo xtask {command}"), since: jiff::Timestamp::now() };
    let text = serde_json::to_string(&holder).map_err(|error| Error::failed("write the lock").source(&error))?;
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()))
        .map_err(|error| failed(&path, &error))?;
    Ok(Lock(file))
}

fn open(root: &Path, name: &str) -> Result<(File, PathBuf)> {
    let path = root.join(".slipway").join(name);
    fs::create_dir_all(root.join(".slipway")).map_err(|error| failed(&path, &error))?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    Ok((file.map_err(|error| failed(&path, &error))?, path))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("lock {}", path.display())).source(error)
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
    use super::{share, take};

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
        let one = share(&root, "deploy").expect("it is free again");
        let other = share(&root, "deploy").expect("deploys run beside each other");
        take(&root, "local down").expect_err("two deploys need it");
        drop((one, other));
        take(&root, "local down").expect("it is free again");
        std::fs::remove_dir_all(&root).expect("remove the directory");
    }
}
