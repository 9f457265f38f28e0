//! Where the real client is.

use std::path::{Path, PathBuf};

/// kubectl, from the environment that `cargo xtask test` prepares.
pub(crate) fn program() -> PathBuf {
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/kubectl");
    #[allow(clippy::disallowed_methods, reason = "a test asks for its own tool, not the pipeline for a setting")]
    let program = std::env::var_os("KUBECTL").map_or(prepared, PathBuf::from);
    assert!(program.is_file(), "{} is not there: `cargo xtask test` installs it", program.display());
    program
}
