//! Random files, in MiniStack's S3.

use std::{thread, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    client::{Answer, post},
    ministack::MiniStack,
    process::{App, eventually, under_load},
};

fn start(server: &MiniStack) -> App {
    start_with(server, "2m")
}

fn start_with(server: &MiniStack, timeout: &str) -> App {
    let endpoint = server.endpoint();
    App::start(&[
        ("UPLOAD_BUCKET", "files"),
        ("UPLOAD_ENDPOINT", &endpoint),
        ("UPLOAD_LIMIT", "40MiB"),
        // Those of the load, and one more.
        ("UPLOAD_CONCURRENCY", "3"),
        ("REQUEST_TIMEOUT", timeout),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ("LOG_LEVEL", "trace"),
    ])
}

fn upload(app: &App, query: &str) -> Answer {
    app.connect().ask(&post(&format!("/api/upload-random{query}"), "", "")).unwrap()
}

fn unfinished(server: &MiniStack) -> usize {
    server.s3("GET", "/files?uploads").body.matches("<Upload>").count()
}

/// What the answer says is what is in the bucket.
fn is_there(server: &MiniStack, answer: &Answer, size: usize) {
    assert_eq!(answer.status, 201, "{}", answer.body);
    let said = answer.json();
    assert_eq!((&said["bucket"], &said["size"]), (&Value::from("files"), &Value::from(size)));
    let (bytes, head) = server.download(&format!("/files/{}", said["key"].as_str().unwrap()));
    assert_eq!(bytes.len(), size, "{head}");
    assert_eq!(hex::encode(digest(&SHA256, &bytes)), said["sha256"].as_str().unwrap());
}

#[test]
fn random_files_are_uploaded_whole_or_not_at_all() {
    let mut server = MiniStack::start();
    let mut app = start(&server);

    // No bucket yet: S3 answers, with a refusal.
    let refused = upload(&app, "?size=10");
    assert_eq!((refused.status, refused.header("content-type")), (502, Some("application/problem+json")));
    assert!(refused.body.contains("NoSuchBucket"), "{}", refused.body);

    assert_eq!(server.s3("PUT", "/files").status, 200);
    for size in [1, 1000, 8 << 20, (8 << 20) + 1, 20_000_000] {
        is_there(&server, &upload(&app, &format!("?size={size}")), size);
    }
    is_there(&server, &upload(&app, ""), 1 << 20);
    assert_eq!(unfinished(&server), 0);
    for bad in ["?size=0", "?size=41943041", "?size=-1", "?size=x", "?size=99999999999999999999"] {
        assert_eq!(upload(&app, bad).status, 400, "{bad}");
    }

    // Killed and brought back, empty, during load.
    let load = || assert!(matches!(upload(&app, "?size=1000").status, 201 | 502 | 503));
    under_load(load, || {
        server.kill();
        let away = upload(&app, "?size=10");
        assert_eq!(
            (away.status, away.header("content-type")),
            (503, Some("application/problem+json")),
            "{}",
            away.body
        );
        assert_eq!(away.header("retry-after"), Some("1"));
        assert_eq!(upload(&app, "?size=9000000").status, 503);
        server.bring_back();
        assert_eq!(server.s3("PUT", "/files").status, 200);
    });
    is_there(&server, &upload(&app, "?size=9000000"), 9_000_000);

    // Frozen: it takes the connection and answers nothing.
    let hasty = start_with(&server, "2s");
    server.freeze(true);
    let late = upload(&hasty, "?size=9000000");
    server.freeze(false);
    assert_eq!((late.status, late.header("content-type")), (503, Some("application/problem+json")), "{}", late.body);

    app.process.kill().unwrap();
    for line in app.log() {
        assert!(!line.to_string().contains("canary"), "{line}");
    }
}

/// A client that goes away in the middle leaves nothing behind.
#[test]
fn an_upload_that_nobody_waits_for_is_taken_back() {
    let server = MiniStack::start();
    assert_eq!(server.s3("PUT", "/files").status, 200);
    let app = start(&server);
    is_there(&server, &upload(&app, "?size=10"), 10);
    let begun = (0..50).any(|_| {
        let mut client = app.connect();
        client.write(&post("/api/upload-random?size=41943040", "", ""));
        // Until it has begun, or is over already.
        let began = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(5));
            unfinished(&server) == 1
        });
        drop(client);
        began
    });
    assert!(begun, "no upload was ever seen half done");
    eventually("it is taken back", || unfinished(&server) == 0);
}
