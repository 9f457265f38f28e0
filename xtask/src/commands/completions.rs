//! `completions` and `schema`: what a shell and an editor need to help with what is typed.

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Completions},
    config,
    error::Result,
    ui::Printer,
};

/// Prints the completions of one shell.
pub(super) fn run(options: &Completions, printer: &Printer) -> Result<()> {
    let mut script = Vec::new();
    // Completion scripts bind to a program; the alias `cargo xtask` runs this one.
    clap_complete::generate(options.shell, &mut Cli::command(), "xtask", &mut script);
    printer.bytes(&script);
    Ok(())
}

/// Prints the JSON Schema of environments.
pub(super) fn schema(printer: &Printer) -> Result<()> {
    printer.bytes(config::schema(&super::root()?)?.as_bytes());
    Ok(())
}
