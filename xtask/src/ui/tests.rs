//! What the words look like.

use std::time::Duration;

use super::{Outcome, Row, Secret, failure, github};
use crate::error::{Error, Place};

#[test]
fn a_row_aligns_its_columns_and_indents_its_details() {
    let row = Row {
        outcome: Outcome::Changed,
        stage: "apply".into(),
        service: None,
        summary: "1 created, 2 changed".into(),
        details: vec!["+ ConfigMap app/app\n~ Deployment app/app".into()],
        took: Duration::from_millis(240),
    };
    let expected = format!(
        " changed  apply      {:<58}    0.2s\n            + ConfigMap app/app\n            ~ Deployment app/app",
        "1 created, 2 changed"
    );
    assert_eq!(row.render(false), expected);
    assert!(
        row.render(true).contains("\u{1b}[33mchanged \u{1b}[0m"),
        "colour repeats the word, it does not replace it"
    );
}

#[test]
fn an_error_shows_its_causes_and_its_hint() {
    let error = Error::failed("reach Docker").cause("connect /x.sock\nno such file").hint("start it");
    assert_eq!(
        failure::render(&error, false),
        "error: reach Docker\n  connect /x.sock\n  no such file\nhint: start it"
    );
}

#[test]
fn annotations_name_the_line_and_escape_what_would_end_them() {
    let error = Error::usage("one mistake").place(Place {
        file: "infra,config/a.yaml".into(),
        line: 3,
        column: 5,
        message: "100% wrong\nreally".into(),
    });
    assert_eq!(github::annotations(&error), ["::error file=infra%2Cconfig/a.yaml,line=3,col=5::100%25 wrong%0Areally"]);
    let error = Error::failed("push").cause("refused");
    assert_eq!(github::annotations(&error), ["::error title=xtask::push%0Arefused"]);
}

#[test]
fn a_secret_does_not_show_itself() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    assert_eq!(secret.reveal(), "hunter2");
}
