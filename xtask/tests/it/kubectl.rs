//! Where the real client is.

use std::path::{Path, PathBuf};

/// kubectl, from the environment that `cargo xtask test` prepares.
pub(crate) fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/kubectl");
    assert!(program.is_file(), "{} is not there: `cargo xtask test` installs it", program.display());
    program
}
