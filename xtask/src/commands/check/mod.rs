//! `check`: formatting, lints, the repository's own rules and what is in the dependency graph.

mod dependencies;
mod source;
#[cfg(test)]
mod tests;
mod tidy;

use std::{ffi::OsStr, path::Path};

use tokio::process::Command;

use crate::{
    config::variables,
    error::{Error, Place, Result},
    ui::{Done, Outcome, Printer, Step},
};

/// Runs every check, also after one has failed.
pub(super) async fn run(printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let mut failures = Vec::new();
    let mut keep = |result: Result<()>| failures.extend(result.err());
    keep(printer.step("tidy").run(async |_| tidy(&root)).await);
    let depend = async |_: &Step| {
        let tree = cargo(&root, dependencies::ARGUMENTS).await?;
        Ok(Done::new(Outcome::Ok, dependencies::check(&tree)?, ()))
    };
    keep(printer.step("graph").run(depend).await);
    let format = async |_: &Step| {
        cargo(&root, &["fmt", "--all", "--check", "--", "--color", "never"])
            .await
            .map_err(|error| error.hint("cargo fmt --all"))?;
        Ok(Done::new(Outcome::Ok, "formatted", ()))
    };
    keep(printer.step("fmt").run(format).await);
    let lint = async |step: &Step| {
        step.update("cargo clippy");
        cargo(&root, &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"])
            .await?;
        Ok(Done::new(Outcome::Ok, "no warnings", ()))
    };
    keep(printer.step("clippy").run(lint).await);
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in &failures {
        printer.error(failure);
    }
    Err(last)
}

fn tidy(root: &Path) -> Result<Done<()>> {
    let files = source::read(root)?;
    let mistakes = tidy::check(&files);
    if mistakes.is_empty() {
        return Ok(Done::new(Outcome::Ok, format!("{} source files", files.len()), ()));
    }
    let count = mistakes.len();
    let error = Error::failed(format!("{count} of the repository's own rules are broken"));
    Err(mistakes.into_iter().fold(error, |error, mistake| {
        let tidy::Mistake { file, line, message } = mistake;
        error.place(Place { file, line, column: 1, message })
    }))
}

/// Runs cargo and returns its stdout.
async fn cargo<S: AsRef<OsStr>>(root: &Path, arguments: &[S]) -> Result<String> {
    let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
    let doing = format!("cargo {}", shown.join(" "));
    let output = Command::new(variables::cargo())
        .args(arguments)
        .current_dir(root)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Error::failed(format!("run {doing}")).source(&error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::failed(doing).cause(format!("{}\n{}", text(&output.stdout), text(&output.stderr)).trim()))
}
