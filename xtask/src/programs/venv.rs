//! The Python environment with pinned programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::run_quietly;
use crate::{
    error::{Error, Result},
    ui::{Done, Outcome, Step},
};

/// Makes a directory, such as `target/venv`, hold what the requirements say. The copy of them inside is written last:
/// as long as it is the same there is nothing to do, and a half-made environment is made again.
pub(crate) async fn create(root: &Path, name: &str, wanted: &str, step: &Step) -> Result<Done<PathBuf>> {
    let directory = root.join(name);
    let stamp = directory.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Done::new(Outcome::Same, name, directory));
    }
    step.update(format!("python3 -m venv {name}"));
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(&directory);
    run_quietly(&mut command, &format!("create {name}")).await?;
    step.update(format!("pip install into {name}"));
    let list = directory.join("wanted.txt");
    let write = |path: &Path| {
        fs::write(path, wanted).map_err(|error| Error::failed(format!("write {}", path.display())).source(&error))
    };
    write(&list)?;
    let mut command = Command::new(directory.join("bin/python"));
    command
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement"])
        .arg(&list);
    run_quietly(&mut command, &format!("install programs into {name}")).await?;
    write(&stamp)?;
    Ok(Done::new(Outcome::Changed, format!("{name} made"), directory))
}
