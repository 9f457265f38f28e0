//! `completions`: what a shell needs to complete command lines.

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Completions},
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
