//! `kubectl kustomize` is the judge of what this repository's own renderer makes of a Kustomize tree.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize as _;
use serde_json::Value;
use xtask::manifests::{render_directory, to_yaml};

/// Each directory is a case: a kustomization, and in `expected.yaml` what kubectl 1.37 renders.
fn cases() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kustomize");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(corpus).expect("the corpus is there").map(|entry| entry.expect("a directory").path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "the corpus has shrunk to {}", cases.len());
    cases
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    documents.collect::<Result<_, _>>().expect("what is rendered is YAML")
}

fn rendered(directory: &Path) -> Vec<Value> {
    let objects = render_directory(&root(), directory).expect("the tree renders");
    // Through the text, so that what is compared is what a person gets.
    documents(&to_yaml(&objects))
}

#[track_caller]
pub(crate) fn same(what: &Path, ours: &[Value], theirs: &[Value]) {
    let identity = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let names = |objects: &[Value]| objects.iter().map(identity).collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "{}: other objects, or another order", what.display());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs, "{}: {}", what.display(), identity(ours));
    }
}

#[test]
fn every_overlay_of_the_corpus_renders_as_kubectl_renders_it() {
    for case in cases() {
        let expected = fs::read_to_string(case.join("expected.yaml")).expect("kubectl's rendering is recorded");
        same(&case, &rendered(&case), &documents(&expected));
    }
}

#[test]
fn this_repositorys_overlays_and_the_corpus_agree_with_kubectl_itself() {
    let overlays = fs::read_dir(root().join("manifests/overlays")).expect("there are overlays");
    let overlays = overlays.map(|entry| entry.expect("a directory").path());
    for directory in cases().into_iter().chain(overlays) {
        let kubectl = crate::kubectl::program();
        let output = Command::new(kubectl).arg("kustomize").arg(&directory).output().expect("kubectl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        same(&directory, &rendered(&directory), &documents(&String::from_utf8_lossy(&output.stdout)));
    }
}
