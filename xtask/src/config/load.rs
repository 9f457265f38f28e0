//! Finds and reads the file of an environment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Environment, closest, environment,
    fields::{Findings, Mistake},
    located::{self, SyntaxError},
};
use crate::error::{Error, Place, Result};

/// The directory of the environments, below the repository's root.
pub const DIRECTORY: &str = "infra-config";
/// It documents every key and is no environment; nor is what continues its name, for several services.
const REFERENCE: &str = "reference";

/// The repository's root: the directory, here or above, that holds `infra-config/`.
///
/// # Errors
/// When there is none.
pub fn find_root(start: &Path) -> Result<PathBuf> {
    start.ancestors().find(|directory| directory.join(DIRECTORY).is_dir()).map(Path::to_path_buf).ok_or_else(|| {
        Error::usage(format!("find the repository: no {DIRECTORY}/ in {} or above it", start.display()))
            .hint("change into the repository")
    })
}

/// The names of the environments, in order.
///
/// # Errors
/// When the directory cannot be read.
pub fn environments(root: &Path) -> Result<Vec<String>> {
    let directory = root.join(DIRECTORY);
    let failed = |error: io::Error| Error::usage(format!("read {DIRECTORY}/")).source(&error);
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "yaml") && !stem.starts_with(REFERENCE) {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Reads and validates an environment.
///
/// # Errors
/// Every mistake in the file at once, each with its line, column and key; or that there is no such environment.
pub fn load(root: &Path, name: &str) -> Result<Environment> {
    let names = environments(root)?;
    if !names.iter().any(|known| known == name) {
        return Err(missing(name, &names));
    }
    let file = format!("{DIRECTORY}/{name}.yaml");
    let text =
        fs::read_to_string(root.join(&file)).map_err(|error| Error::usage(format!("read {file}")).source(&error))?;
    parse(root, name, &file, &text, &Findings::default())
}

/// Reads an environment from text; `findings` are for the caller to look at afterwards.
pub(super) fn parse(root: &Path, name: &str, file: &str, text: &str, findings: &Findings) -> Result<Environment> {
    let node = located::parse(text).map_err(|SyntaxError { at, message }| {
        let place = Place { file: file.to_owned(), line: at.line, column: at.column, message };
        Error::usage(format!("{file} is not valid YAML")).place(place)
    })?;
    let environment = environment::read(root, name, &root.join(file), node.as_ref(), findings);
    let mistakes = findings.mistakes();
    if mistakes.is_empty() {
        return Ok(environment);
    }
    let count = if mistakes.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    let error = mistakes.into_iter().fold(Error::usage(format!("{file} has {count}")), |error, mistake| {
        let Mistake { at, path, message } = mistake;
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        error.place(Place { file: file.to_owned(), line: at.line, column: at.column, message })
    });
    Err(error.hint(format!("{DIRECTORY}/{REFERENCE}.yaml documents every key")))
}

fn missing(name: &str, names: &[String]) -> Error {
    let error = Error::usage(format!("there is no environment `{name}`: {DIRECTORY}/{name}.yaml does not exist"));
    let known = names.join(", ");
    match closest(name, names.iter().map(String::as_str)) {
        Some(close) => error.hint(format!("did you mean `{close}`? the environments are: {known}")),
        None if names.is_empty() => error.hint(format!("write it; {DIRECTORY}/{REFERENCE}.yaml documents every key")),
        None => error.hint(format!("the environments are: {known}")),
    }
}
