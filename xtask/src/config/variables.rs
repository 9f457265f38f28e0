//! Every environment variable that the pipeline reads.
#![allow(clippy::disallowed_methods, reason = "the one place for it")]

use std::{env, ffi::OsString, path::PathBuf};

use crate::ui::Secret;

/// The cargo that runs this process, or the one on the PATH.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether a program that is started finds this variable by itself.
pub fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The Docker Engine to talk to, when it is not the default socket.
pub fn docker_host() -> Option<String> {
    env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

/// Whether colour is unwanted: <https://no-color.org>.
pub fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether the terminal cannot move its cursor.
pub fn terminal_is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// How wide the user says that the terminal is.
pub fn columns() -> Option<usize> {
    text("COLUMNS")?.parse().ok()
}

/// Whether this is a step of a GitHub workflow.
pub fn github_actions() -> bool {
    env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// The directories in which programs are looked for.
pub fn path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The kubeconfig files in the order in which kubectl merges them: those of `KUBECONFIG`, or `~/.kube/config`.
pub fn kubeconfigs() -> Vec<PathBuf> {
    let listed = env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    match listed {
        Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => home().map(|home| home.join(".kube/config")).into_iter().collect(),
    }
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Where the Docker command line keeps its configuration.
pub fn docker_config() -> Option<PathBuf> {
    let named = env::var_os("DOCKER_CONFIG").filter(|directory| !directory.is_empty());
    named.map(PathBuf::from).or_else(|| Some(home()?.join(".docker")))
}

/// A credential that the configuration names.
pub fn secret(name: &str) -> Option<Secret> {
    env::var(name).ok().filter(|value| !value.is_empty()).map(Secret::new)
}

/// Where cargo keeps the sources of dependencies.
pub fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cargo")))
}

/// Who is logged in on this machine, where a login has said so.
pub fn user() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().find_map(text)
}

/// Who set off the workflow, in a step of one.
/// <https://docs.github.com/actions/reference/workflows-and-actions/variables>
pub fn github_actor() -> Option<String> {
    github_actions().then(|| text("GITHUB_ACTOR"))?
}

/// The page of the workflow run, in a step of one.
pub fn github_run() -> Option<String> {
    let (server, repository, run) = (text("GITHUB_SERVER_URL")?, text("GITHUB_REPOSITORY")?, text("GITHUB_RUN_ID")?);
    github_actions().then(|| format!("{server}/{repository}/actions/runs/{run}"))
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
