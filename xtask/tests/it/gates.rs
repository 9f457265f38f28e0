//! What programs that are not ours say of files that run elsewhere: workflows, the Dockerfile, CloudFormation's templates
//! and the manifests.

use std::{fs, path::Path, process::Command};

/// Some image by its digest, as every deploy has one.
const IMAGE: &str = "registry.example.com/app@sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its packages")
}

/// Runs a program of an environment that `cargo xtask test` makes; it must find nothing.
#[track_caller]
fn finds_nothing(program: &str, arguments: &[&str]) {
    let output = Command::new(root().join("target").join(program)).args(arguments).current_dir(root()).output();
    let output = output.expect("`cargo xtask test` installs it");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
}

#[track_caller]
fn checkov(arguments: &[&str]) {
    finds_nothing(
        "checkov/bin/checkov",
        &[&["--skip-download", "--quiet", "--compact", "--framework"], arguments].concat(),
    );
}

#[test]
fn workflows_are_valid_and_give_nothing_away() {
    finds_nothing("gates/bin/actionlint", &[]);
    finds_nothing("gates/bin/zizmor", &["--offline", "--no-progress", ".github/workflows"]);
    checkov(&["github_actions", "--directory", ".github"]);
}

#[test]
fn the_dockerfile_is_as_it_should_be() {
    finds_nothing("gates/bin/hadolint", &["Dockerfile"]);
    checkov(&["dockerfile", "--file", "Dockerfile"]);
}

#[test]
fn the_templates_are_valid_and_safe() {
    let templates = fs::read_dir(root().join("xtask/tests/templates")).expect("list the templates");
    let templates = templates.map(|entry| entry.expect("read the entry").path().display().to_string());
    let templates: Vec<String> = templates.collect();
    finds_nothing("gates/bin/cfn-lint", &templates.iter().map(String::as_str).collect::<Vec<_>>());
    checkov(&["cloudformation", "--directory", "xtask/tests/templates"]);
}

#[test]
fn what_production_runs_is_safe() {
    let render = ["render", "--env", "production", "--image", IMAGE];
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(render).current_dir(root()).output();
    let output = output.expect("run the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("production.yaml");
    fs::write(&file, output.stdout).expect("write the manifests");
    checkov(&["kubernetes", "--file", file.to_str().expect("it is text")]);
}
