//! Rules about the source that no compiler knows.

use super::source::Source;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) file: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// A text that may occur in some places only.
struct Ban {
    /// In two parts, so that this file does not contain it.
    text: (&'static str, &'static str),
    /// Files, and directories with a `/` at their end.
    allowed: &'static [&'static str],
    /// Whether tests may use it.
    in_tests: bool,
    why: &'static str,
}

/// Runs in a pod's containers without any crate: a program of its own.
const NODE: &str = "localkube/node/";
/// The same for the tests of pods.
const PROGRAM: &str = "localkube/tests/it/program.rs";
/// Cargo talks to these this way.
const BUILDS: [&str; 2] = ["app/build.rs", "localkube/build.rs"];
/// Whoever starts the tests may name a cluster for it.
const JOURNEY: &str = "xtask/tests/it/journey.rs";
/// These hold the text of a service that reads one.
const SERVICES: [&str; 2] = ["xtask/tests/it/dev.rs", "xtask/tests/it/services.rs"];

const BANS: &[Ban] = &[
    Ban {
        text: ("print", "ln!("),
        allowed: &["xtask/src/ui/", NODE, BUILDS[0], BUILDS[1]],
        in_tests: true,
        why: "only ui/ prints",
    },
    Ban { text: ("eprint", "!("), allowed: &["xtask/src/ui/", NODE], in_tests: true, why: "only ui/ prints" },
    Ban {
        text: ("env::", "var"),
        allowed: &[
            "xtask/src/config/variables.rs",
            "app/src/config.rs",
            "app/src/main.rs",
            NODE,
            PROGRAM,
            BUILDS[0],
            BUILDS[1],
            JOURNEY,
            SERVICES[0],
            SERVICES[1],
        ],
        in_tests: false,
        why: "environment variables are read in one file, config/variables.rs",
    },
    Ban {
        text: ("process::", "exit"),
        allowed: &["xtask/src/main.rs", "app/src/main.rs", NODE, PROGRAM],
        in_tests: false,
        why: "only main ends the process",
    },
    Ban {
        text: ("bollard", "::"),
        allowed: &[
            "xtask/src/image/",
            "xtask/src/registry/",
            "localkube/src/kubelet/",
            "localkube/src/proxy/",
            "localkube/src/serve/",
        ],
        in_tests: true,
        why: "Docker is spoken to in image/, registry/, kubelet/ and proxy/ only",
    },
    Ban { text: ("to", "do!("), allowed: &[], in_tests: false, why: "what is not done is not written down as done" },
    Ban { text: ("unimpl", "emented!("), allowed: &[], in_tests: false, why: "what is not done is not promised" },
    Ban { text: ("#[ign", "ore"), allowed: &[], in_tests: false, why: "a test that does not run tests nothing" },
    Ban { text: ("mod ut", "il"), allowed: &[], in_tests: false, why: "a module is named for what it holds" },
];

/// Lines that a source file may have; tests are not counted.
const LONGEST: usize = 400;
/// Lines that nine of ten may have at most.
const NINE_OF_TEN: usize = 250;
/// Lines that main may have.
const MAIN: usize = 40;

/// Every broken rule.
pub(super) fn check(files: &[Source]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = files.iter().flat_map(file).collect();
    mistakes.extend(lengths(files));
    mistakes
}

fn file(file: &Source) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut add = |line, message: String| mistakes.push(Mistake { file: file.path.clone(), line, message });
    if !file.is_test() && !file.text.starts_with("//!") {
        add(1, "a module begins with `//!` and what it is for".into());
    }
    let count = file.text.lines().count();
    let limit = if file.path == "xtask/src/main.rs" { MAIN } else { LONGEST };
    if !file.is_test() && count > limit {
        add(limit + 1, format!("{count} lines, {limit} are allowed"));
    }
    for ban in BANS.iter().filter(|ban| !(ban.in_tests && file.is_test() || file.is_in(ban.allowed))) {
        let text = format!("{}{}", ban.text.0, ban.text.1);
        for (index, line) in file.text.lines().enumerate().filter(|(_, line)| line.contains(&text)) {
            if !line.trim_start().starts_with("//") {
                add(index + 1, format!("`{text}` is not allowed here: {}", ban.why));
            }
        }
    }
    mistakes
}

/// The files as a whole stay small.
fn lengths(files: &[Source]) -> Option<Mistake> {
    let mut lengths: Vec<(usize, &str)> = files
        .iter()
        .filter(|file| !file.is_test())
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    lengths.sort_unstable();
    let (length, path) = *lengths.get(lengths.len() * 9 / 10)?;
    let message =
        format!("a tenth of the files is as long as this or longer, {length} lines; {NINE_OF_TEN} are allowed");
    (length > NINE_OF_TEN).then(|| Mistake { file: path.to_owned(), line: 1, message })
}
