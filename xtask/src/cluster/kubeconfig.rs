//! A cluster of a kubeconfig, found as kubectl finds it.

use std::{io, path::PathBuf};

use kube::{
    Client,
    config::{Kubeconfig, KubeconfigError},
};

use super::client;
use crate::{
    config::{self, closest, variables},
    error::{Error, Result},
};

/// A client for the context that is named, whatever the current one is.
///
/// # Errors
/// There is no such context, with those that there are; its credentials cannot be used.
pub(super) async fn connect(wanted: &config::Kubeconfig) -> Result<Client> {
    let files = wanted.file.clone().map_or_else(variables::kubeconfigs, |file| vec![file]);
    let kubeconfig = read(&files, wanted.file.is_some())?;
    let name = &wanted.context;
    if !kubeconfig.contexts.iter().any(|context| context.name == *name) {
        return Err(unknown(name, &kubeconfig, &files));
    }
    client::for_context(kubeconfig, Some(name.clone()), &format!("use context {name} of the kubeconfig")).await
}

/// The files merged: the first to say something wins
/// (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>). As for kubectl, one that
/// is not there says nothing, unless it was asked for by name.
fn read(files: &[PathBuf], named: bool) -> Result<Kubeconfig> {
    let mut merged = Kubeconfig::default();
    for file in files {
        let doing = || Error::failed(format!("read the kubeconfig {}", file.display()));
        let next = match Kubeconfig::read_from(file) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if !named && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(doing().source(&error)),
        };
        merged = merged.merge(next).map_err(|error| doing().source(&error))?;
    }
    Ok(merged)
}

fn unknown(name: &str, kubeconfig: &Kubeconfig, files: &[PathBuf]) -> Error {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let error = Error::usage(format!("the kubeconfig has no context `{name}`"));
    let names: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    if names.is_empty() {
        let place = if files.is_empty() { "KUBECONFIG or ~/.kube/config".into() } else { files.join(", ") };
        return error
            .cause(format!("there is no context at all in {place}"))
            .hint("set KUBECONFIG, or cluster.kubeconfig.file, to the file that your cluster's provider wrote");
    }
    let error = error.cause(format!("{} has {}", files.join(", "), names.join(", ")));
    match closest(name, names) {
        Some(close) => error.hint(format!("did you mean `{close}`? it is cluster.kubeconfig.context")),
        None => error.hint("name one of them as cluster.kubeconfig.context"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("slipway-kubeconfig-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("write a kubeconfig");
        path
    }

    #[test]
    fn the_first_file_wins_and_an_absent_one_says_nothing() {
        let one = file(
            "one",
            "contexts: [{name: a, context: {cluster: first}}]\nclusters: [{name: first, cluster: {server: https://a}}]\n",
        );
        let two =
            file("two", "contexts: [{name: a, context: {cluster: second}}, {name: b, context: {cluster: second}}]\n");
        let files = [one.clone(), PathBuf::from("/absent/config"), two.clone()];
        let merged = read(&files, false).expect("what is there is read");
        let clusters: Vec<_> = merged
            .contexts
            .iter()
            .map(|context| (context.name.as_str(), context.context.as_ref().expect("it is given").cluster.as_str()))
            .collect();
        assert_eq!(clusters, [("a", "first"), ("b", "second")]);
        let error = unknown("aa", &merged, &files[..1]);
        assert_eq!(error.causes, [format!("{} has a, b", one.display())]);
        assert_eq!(error.hint.as_deref(), Some("did you mean `a`? it is cluster.kubeconfig.context"));
        for path in [one, two] {
            std::fs::remove_file(path).expect("remove the kubeconfig");
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let error = read(&["/absent/config".into()], true).expect_err("it is not there");
        assert_eq!(error.message, "read the kubeconfig /absent/config");
        let none = unknown("kind-kind", &Kubeconfig::default(), &["/absent/config".into()]);
        assert_eq!(none.causes, ["there is no context at all in /absent/config"]);
    }
}
