//! How it answers, refuses, and ends.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    client::{Client, JSON, get, post},
    process::{App, command},
};

#[test]
fn text_comes_back_reversed_and_upcased() {
    let app = App::start(&[]);
    let mut client = app.connect();
    for (path, text, expected) in
        [("/v1", "reverse me", "EM ESREVER"), ("/", "straße 🇩🇪!", "!🇩🇪 ESSARTS"), ("/v1?x=1", "", "")]
    {
        let answer = client.ask(&post(path, JSON, &json!({ "data": text }).to_string())).unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!({ "data": expected })));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("server"), Some("app/test-1"));
    }
    for media_type in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"] {
        let answer = client.ask(&post("/v1", &format!("content-type: {media_type}\r\n"), r#"{"data":"a"}"#)).unwrap();
        assert_eq!(answer.body, r#"{"data":"A"}"#);
    }
    let usage = client.ask(&get("/v1")).unwrap();
    assert!(usage.body.starts_with("app test-1: POST {\"data\": string} as application/json to "), "{usage:?}");
    assert_eq!(client.ask(&get("/healthz")).unwrap().body, "ok\n");
    assert_eq!(client.ask(&get("/readyz")).unwrap().body, "ready\n");
}

#[test]
fn refusals_are_problem_details() {
    let app = App::start(&[]);
    let mut client = app.connect();
    let text = "content-type: text/html\r\n";
    for (request, status, title, detail, allow) in [
        (post("/v1", JSON, "{"), 400, "Bad Request", "the body is not JSON: EOF while parsing", None),
        (post("/v1", JSON, "[1]"), 422, "Unprocessable Entity", "the body must be {\"data\": string}: ", None),
        (post("/v1", text, "{}"), 415, "Unsupported Media Type", "got content-type \"text/html\"", None),
        (post("/v1", "", "{}"), 415, "Unsupported Media Type", "got no content-type", None),
        (get("/nothing"), 404, "Not Found", "there is nothing at /nothing", None),
        (get("/"), 405, "Method Not Allowed", "/ does not take GET", Some("POST")),
        (get("/v1").replace("GET", "PUT"), 405, "Method Not Allowed", "/v1 does not take PUT", Some("GET,HEAD,POST")),
    ] {
        let answer = client.ask(&request).unwrap();
        let problem = answer.json();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_eq!(answer.header("allow"), allow);
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["title"], title);
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}

#[test]
fn a_body_has_a_mebibyte_at_most() {
    let app = App::start(&[]);
    let body = |length: usize| format!(r#"{{"data":"{}"}}"#, "x".repeat(length - 11));
    assert_eq!(app.connect().ask(&post("/v1", JSON, &body(1024 * 1024))).unwrap().status, 200);
    let mut client = app.connect();
    let refused = client.ask(&post("/v1", JSON, &body(1024 * 1024 + 1))).unwrap();
    assert_eq!((refused.status, refused.header("content-type")), (413, Some("application/problem+json")));
    // It was read to its end, so the connection serves on.
    assert_eq!(client.ask(&get("/healthz")).unwrap().status, 200);

    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut client = app.connect();
    client.write(
        "POST /v1 HTTP/1.1\r\nhost: app\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    (0..20).for_each(|_| client.write(&chunk));
    client.write("0\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 413);

    // A client that asks first is told before it has sent anything.
    let mut client = app.connect();
    client.write(&format!(
        "POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}expect: 100-continue\r\ncontent-length: 2000000\r\n\r\n"
    ));
    assert_eq!(client.read().unwrap().status, 413);
}

#[test]
fn slow_clients_are_given_up() {
    let app = App::start(&[("HEADER_TIMEOUT", "300ms"), ("REQUEST_TIMEOUT", "300ms")]);
    let mut client = app.connect();
    client.write("GET /v1 HTTP/1.1\r\nhos");
    let began = Instant::now();
    assert!(client.is_closed());
    assert!(began.elapsed() < Duration::from_secs(5));

    let mut client = app.connect();
    client.write(&format!("POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}content-length: 20\r\n\r\n{{\"da"));
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.json()["title"].as_str()), (408, Some("Request Timeout")));
    assert!(answer.closes() && client.is_closed());
}

/// Clients behind a load balancer, which stops sending to a server that is not ready: until then, and for a while after,
/// not one request may fail, on connections kept or fresh.
#[test]
fn a_drain_under_load_loses_no_request() {
    let mut app = App::start(&[("DRAIN_DELAY", "700ms"), ("DRAIN_TIMEOUT", "10s")]);
    let (address, stop) = (app.address, Arc::new(AtomicBool::new(false)));
    let (kept, fresh, told) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let request = post("/v1", JSON, r#"{"data":"abc"}"#);
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (keep, request, stop) = (number % 2 == 0, request.clone(), stop.clone());
            let (count, told) = (if keep { kept.clone() } else { fresh.clone() }, told.clone());
            thread::spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut connection = client.take().map_or_else(|| Client::connect(address), Ok).unwrap();
                    let answer = connection.ask(&request).unwrap();
                    assert_eq!(answer.body, r#"{"data":"CBA"}"#);
                    count.fetch_add(1, Ordering::Relaxed);
                    told.fetch_add(usize::from(answer.closes()), Ordering::Relaxed);
                    client = (keep && !answer.closes()).then_some(connection);
                }
            })
        })
        .collect();
    // One connection in the middle of a request, one at rest.
    let mut slow = app.connect();
    let body = r#"{"data":"slow"}"#;
    slow.write(&format!("POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}content-length: {}\r\n\r\n", body.len()));
    let mut idle = app.connect();
    assert_eq!(idle.ask(&get("/readyz")).unwrap().status, 200);
    // Under way for real, however fast this machine is.
    let warm = Instant::now();
    while [&kept, &fresh].iter().any(|count| count.load(Ordering::Relaxed) <= 500) {
        assert!(warm.elapsed() < Duration::from_secs(60), "hardly anything is answered");
        thread::sleep(Duration::from_millis(20));
    }

    app.signal(Signal::TERM);
    let began = Instant::now();
    let unready = loop {
        let answer = app.connect().ask(&get("/readyz")).unwrap();
        if answer.status != 200 {
            break answer;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "readiness did not fail");
    };
    assert_eq!((unready.status, unready.json()["title"].as_str()), (503, Some("Service Unavailable")));
    assert_eq!(app.connect().ask(&get("/healthz")).unwrap().status, 200);
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());

    assert!(idle.is_closed());
    assert!(began.elapsed() >= Duration::from_millis(700), "closed before load balancers have noticed");
    // The request in flight is answered, long after everything else is closed, and then there is nothing to wait for.
    assert!(app.process.try_wait().unwrap().is_none());
    slow.write(body);
    let answer = slow.read().unwrap();
    assert_eq!((answer.body.as_str(), answer.closes()), (r#"{"data":"WOLS"}"#, true));
    assert!(app.wait().success());
    assert!(began.elapsed() < Duration::from_secs(9), "waited for the deadline");
    let (kept, fresh, told) =
        (kept.load(Ordering::Relaxed), fresh.load(Ordering::Relaxed), told.load(Ordering::Relaxed));
    assert!(kept > 500 && fresh > 500 && told > 0, "{kept} on kept connections, {fresh} on fresh ones, {told} told");
    let log = app.log();
    assert!(log.iter().any(|line| line["message"] == "drained"));
}

/// Load balancers open connections ahead of use; one that was opened just before the end still gets its answer.
#[test]
fn a_connection_opened_ahead_is_served_to_the_end() {
    let mut app = App::start(&[("DRAIN_DELAY", "0s"), ("DRAIN_TIMEOUT", "10s")]);
    let mut ahead = app.connect();
    app.connect().ask(&get("/healthz")).unwrap();
    app.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(200));
    let answer = ahead.ask(&get("/v1")).unwrap();
    assert!(answer.status == 200 && answer.closes());
    assert!(app.wait().success());
}

#[test]
fn the_deadline_and_a_second_signal_end_it_all_the_same() {
    let stuck = |app: &App| {
        let mut client = app.connect();
        client.write(&format!("POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}content-length: 20\r\n\r\n"));
        client
    };
    let mut app = App::start(&[("DRAIN_DELAY", "100ms"), ("DRAIN_TIMEOUT", "500ms")]);
    let _client = stuck(&app);
    let began = Instant::now();
    app.signal(Signal::TERM);
    assert!(app.wait().success());
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&began.elapsed()));

    let mut app = App::start(&[("DRAIN_DELAY", "60s"), ("DRAIN_TIMEOUT", "60s")]);
    let _client = stuck(&app);
    app.signal(Signal::INT);
    thread::sleep(Duration::from_millis(200));
    assert!(app.process.try_wait().unwrap().is_none());
    app.signal(Signal::INT);
    assert!(app.wait().success());
}

#[test]
fn a_bad_configuration_is_told_whole_with_exit_code_78() {
    let output = Command::new(env!("CARGO_BIN_EXE_app"))
        .env_clear()
        .envs([("PORT", "http"), ("LOG_LEVEL", "loud"), ("DRAIN_DELAY", "soon")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let expected = "configuration: PORT must be a port from 0 to 65535, got \"http\"\n\
        configuration: DRAIN_DELAY must be a duration such as 5s or 500ms, an hour at most, got \"soon\"\n\
        configuration: LOG_LEVEL must be error, warn, info, debug or trace, got \"loud\"\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert!(output.stdout.is_empty());
}

#[test]
fn the_configuration_in_effect_is_printed_without_secrets() {
    let settings = [
        ("DATABASE_URL", "mysql://app:canary-1@db/app"),
        ("REDIS_URL", "redis://:canary-2@cache"),
        ("UPLOAD_BUCKET", "files"),
        ("AWS_SECRET_ACCESS_KEY", "canary-3"),
    ];
    let shown = command(&["config"], &settings, "").unwrap();
    for line in [
        "database_url: \"***\" # environment",
        "redis_url: \"***\" # environment",
        "upload_bucket: \"files\" # environment",
        "auth: \"off\" # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
    }
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_app"))
        .env_clear()
        .envs([("ADDRESS", "127.0.0.1"), ("PORT", &address.port().to_string())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with(&format!("listening on {address}: Address already in use")), "{stderr}");
}

#[test]
fn the_log_is_json_and_has_no_bodies() {
    let mut app = App::start(&[("DRAIN_DELAY", "0s")]);
    app.connect().ask(&post("/v1?token=hidden", JSON, r#"{"data":"private"}"#)).unwrap();
    app.signal(Signal::TERM);
    assert!(app.wait().success());
    let log = app.log();
    let request = log.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!(
        (&request["method"], &request["path"], &request["status"]),
        (&json!("POST"), &json!("/v1"), &json!(200))
    );
    let text = serde_json::to_string(&log).unwrap().to_lowercase();
    assert!(!text.contains("private") && !text.contains("etavirp") && !text.contains("hidden"), "{text}");
}
