//! The Python environment with pinned programs.

use std::{fs, path::Path};

use tokio::process::Command;

use super::run_quietly;
use crate::{
    error::{Error, Result},
    ui::{Done, Outcome, Step},
};

const REQUIREMENTS: &str = "xtask/tests/requirements.txt";

/// Makes `target/venv` hold what the requirements say. The copy of them inside is written last: as long as it is the
/// same there is nothing to do, and a half-made environment is made again.
pub(super) async fn create(root: &Path, step: &Step) -> Result<Done<()>> {
    let directory = root.join("target/venv");
    let stamp = directory.join("requirements.txt");
    let wanted = fs::read_to_string(root.join(REQUIREMENTS))
        .map_err(|error| Error::failed(format!("read {REQUIREMENTS}")).source(&error))?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Done::new(Outcome::Same, "target/venv", ()));
    }
    step.update("python3 -m venv target/venv");
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(&directory);
    run_quietly(&mut command, "create target/venv").await?;
    step.update(format!("pip install {REQUIREMENTS}"));
    let mut command = Command::new(directory.join("bin/python"));
    command
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement"])
        .arg(root.join(REQUIREMENTS));
    run_quietly(&mut command, "install what the tests need into target/venv").await?;
    fs::write(&stamp, wanted).map_err(|error| Error::failed(format!("write {}", stamp.display())).source(&error))?;
    Ok(Done::new(Outcome::Changed, "target/venv made", ()))
}
