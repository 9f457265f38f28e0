//! The rules find what they are for, and the repository keeps them.

use super::{
    dependencies,
    source::{self, Source},
    tidy,
};

fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn mistakes(path: &str, text: &str) -> Vec<String> {
    let files = [Source { path: path.into(), text: text.into() }];
    tidy::check(&files).into_iter().map(|mistake| format!("{}: {}", mistake.line, mistake.message)).collect()
}

#[test]
fn the_repository_keeps_its_rules() {
    let files = source::read(root()).expect("the sources can be read");
    assert!(files.len() > 30, "found {} files only", files.len());
    assert_eq!(tidy::check(&files), []);
}

#[test]
fn a_module_says_what_it_is_for() {
    assert_eq!(mistakes("app/src/x.rs", "fn x() {}\n"), ["1: a module begins with `//!` and what it is for"]);
}

#[test]
fn printing_is_for_ui() {
    let text = format!("//! x\nfn x() {{\n    print{}\"x\");\n}}\n", "ln!(");
    assert_eq!(mistakes("xtask/src/apply/mod.rs", &text), ["3: `println!(` is not allowed here: only ui/ prints"]);
    assert_eq!(mistakes("xtask/src/ui/printer.rs", &text), [""; 0]);
    assert_eq!(mistakes("xtask/tests/it/x.rs", &text), [""; 0]);
}

#[test]
fn variables_are_read_in_one_file() {
    let text = format!("//! x\nlet x = std::env::{}(\"X\");\n", "var");
    assert_eq!(mistakes("localkube/src/x.rs", &text).len(), 1);
    assert_eq!(mistakes("localkube/src/x/tests.rs", &text).len(), 1, "tests read paths, not variables");
    assert_eq!(mistakes("xtask/src/config/variables.rs", &text), [""; 0]);
}

#[test]
fn tests_run() {
    let text = format!("//! x\n#[test]\n#[ign{}]\nfn x() {{}}\n", "ore");
    assert_eq!(mistakes("app/tests/it/x.rs", &text).len(), 1);
}

#[test]
fn files_stay_short_unless_they_are_tests() {
    let text = format!("//! x\n{}", "\n".repeat(400));
    assert_eq!(mistakes("app/src/x.rs", &text)[0], "401: 401 lines, 400 are allowed");
    assert_eq!(mistakes("app/src/x/tests.rs", &text), [""; 0]);
}

#[test]
fn one_of_each_and_none_of_the_others() {
    let good = "axum v0.8.9\nhyper v1.0.0\nhyper v1.0.0 (*)\nrustls v0.23.0\ntokio v1.0.0\ntokio-rustls v0.26.0\n\
                aws-lc-rs v1.0.0\nkube-client v5.0.0\n";
    assert_eq!(dependencies::check(good).expect("nothing is wrong"), "7 packages, one rustls, one hyper, one axum");
    let error = dependencies::check(&format!("{good}hyper v0.14.0\nring v0.17.0\n")).expect_err("two rules broken");
    assert_eq!(
        error.causes,
        [
            "hyper is there more than once: v0.14.0, v1.0.0",
            "ring must not be there: the TLS provider is aws-lc-rs; cargo tree --invert ring says who brings it",
        ]
    );
}
