//! Upcasing by another service that is good, slow, wrong, flapping or dead.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{Answer, JSON, get, post},
    process::{App, Directory},
    stub::{Mode, Stub},
};

fn start(stub: &Stub, settings: &[(&str, &str)]) -> App {
    let url = stub.url();
    let ours = [("UPCASE", "shoutcloud"), ("SHOUTCLOUD_URL", url.as_str()), ("REQUEST_TIMEOUT", "60s")];
    App::start(&[&ours, settings].concat())
}

fn ask(app: &App, text: &str) -> Answer {
    app.connect().ask(&post("/v1", JSON, &json!({ "data": text }).to_string())).unwrap()
}

/// Asks for new texts until the answer has this status.
fn until(app: &App, status: u16) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in 0.. {
        let answer = ask(app, &format!("until {status}: {number}"));
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        thread::sleep(Duration::from_millis(20));
    }
    unreachable!()
}

#[test]
fn a_good_one_is_asked_once_for_each_text() {
    let stub = Stub::start();
    // The stub speaks to clients other than the service.
    let direct =
        crate::client::Client::connect(stub.address).unwrap().ask(&post("/V1/SHOUT", JSON, "{\"INPUT\":\"a\"}"));
    assert_eq!(direct.unwrap().json(), json!({"INPUT": "a", "OUTPUT": "A"}));
    let app = start(&stub, &[]);
    let before = stub.asked();
    for _ in 0..3 {
        assert_eq!(ask(&app, "ﬁ straße 🇩🇪ᾳb").json(), json!({"data": "BΑΙ🇩🇪 ESSARTS FI"}));
    }
    let lines = "{\"data\":\"ab\"}\n{\"data\":\"ab\"}\n{\"data\":\"cd\"}\n";
    let batch = post("/v1/batch", "content-type: application/x-ndjson\r\n", lines);
    let answer = app.connect().ask(&batch).unwrap();
    assert_eq!(answer.body, "{\"data\":\"BA\"}\n{\"data\":\"BA\"}\n{\"data\":\"DC\"}\n");
    assert_eq!(stub.asked() - before, 3);
    assert_eq!(app.connect().ask(&get("/api/mirror?word=aB")).unwrap().json(), json!({"transformed": "bA"}));
}

#[test]
fn a_slow_one_is_given_up_and_then_left_alone() {
    let stub = Stub::start();
    let app = start(
        &stub,
        &[("SHOUTCLOUD_TIMEOUT", "200ms"), ("SHOUTCLOUD_BREAKER_FAILURES", "3"), ("SHOUTCLOUD_BREAKER_PAUSE", "60s")],
    );
    stub.be(Mode::Slow);
    let answer = ask(&app, "slow");
    assert_eq!((answer.status, answer.header("content-type")), (504, Some("application/problem+json")), "{answer:?}");
    let left_alone = until(&app, 503);
    assert!(left_alone.header("retry-after").unwrap().parse::<u64>().unwrap() > 50, "{left_alone:?}");
    assert_eq!(stub.asked(), 3);
    assert_eq!(app.connect().ask(&get("/readyz")).unwrap().status, 200);
}

#[test]
fn too_many_at_once_are_refused() {
    let stub = Stub::start();
    let app = start(&stub, &[("SHOUTCLOUD_TIMEOUT", "1s"), ("SHOUTCLOUD_CONCURRENCY", "1")]);
    stub.be(Mode::Slow);
    thread::scope(|scope| {
        let asking: Vec<_> = ["a", "b", "c"].map(|text| scope.spawn(|| ask(&app, text).status)).into_iter().collect();
        let mut statuses: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        statuses.sort_unstable();
        // Each has a second from when it came; the one under way has it to itself.
        assert!(statuses.contains(&504) && statuses.contains(&503), "{statuses:?}");
    });
}

#[test]
fn a_wrong_one_is_a_bad_gateway_and_not_asked_again() {
    let stub = Stub::start();
    let app = start(&stub, &[("SHOUTCLOUD_BREAKER_FAILURES", "100")]);
    stub.be(Mode::Wrong);
    for (number, detail) in ["it is about another text", "it is not {", "it is not {"].into_iter().enumerate() {
        let answer = ask(&app, &format!("{number}"));
        assert_eq!((answer.status, answer.json()["title"].as_str()), (502, Some("Bad Gateway")));
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{answer:?}");
    }
    assert_eq!(stub.asked(), 3);
    stub.be(Mode::Good);
    assert_eq!(ask(&app, "0").status, 200, "a failure is not remembered");
}

#[test]
fn a_flapping_one_is_asked_again_within_the_budget() {
    let stub = Stub::start();
    let app = start(&stub, &[("SHOUTCLOUD_TIMEOUT", "30s"), ("SHOUTCLOUD_BREAKER_FAILURES", "1000")]);
    stub.be(Mode::Flapping);
    for number in 0..10 {
        assert_eq!(ask(&app, &format!("{number}")).status, 200);
    }
    assert_eq!(stub.asked(), 20);
    // The first ten retries were saved up; from here on one is earned by ten requests.
    stub.be(Mode::Failing);
    for number in 0..50 {
        assert_eq!(ask(&app, &format!("failing {number}")).status, 502);
    }
    let retries = stub.asked() - 20 - 50;
    assert!((1..=7).contains(&retries), "{retries}");
}

#[test]
fn a_dead_one_comes_back_during_load() {
    let mut stub = Stub::start();
    let pause = [("SHOUTCLOUD_BREAKER_PAUSE", "100ms"), ("SHOUTCLOUD_TIMEOUT", "30s")];
    let app = start(&stub, &pause);
    let helped = start(&stub, &[&pause[..], &[("SHOUTCLOUD_FALLBACK", "true")]].concat());
    assert_eq!(ask(&app, "kept").status, 200);
    stub.die();
    thread::scope(|scope| {
        // The service that helps itself never shows it.
        let load = scope.spawn(|| {
            (0..200).for_each(|number| {
                let text = format!("load {number}");
                let expected: String = text.to_uppercase().chars().rev().collect();
                assert_eq!(ask(&helped, &text).json(), json!({ "data": expected }));
            });
        });
        let dead = until(&app, 502);
        assert!(dead.json()["detail"].as_str().unwrap().contains("can't be reached"), "{dead:?}");
        until(&app, 503);
        assert_eq!(ask(&app, "kept").json(), json!({"data": "TPEK"}), "what is remembered needs nobody");
        stub.live();
        until(&app, 200);
        load.join().unwrap();
    });
}

#[test]
fn one_that_speaks_tls_is_asked_if_its_certificate_is_trusted() {
    let (stub, certificate) = Stub::start_with_tls();
    let directory = Directory::new("authorities");
    let file = directory.file("authorities.pem");
    fs::write(&file, certificate).unwrap();
    let app = start(&stub, &[("SSL_CERT_FILE", file.as_str())]);
    assert_eq!(ask(&app, "abc").json(), json!({"data": "CBA"}));
    let asked = stub.asked();
    let wary = start(&stub, &[("SHOUTCLOUD_RETRIES", "0")]);
    assert_eq!(ask(&wary, "abc").status, 502);
    assert_eq!(stub.asked(), asked, "it has been told nothing");
}
