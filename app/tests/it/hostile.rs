//! Clients that mean no good: they are answered or cut off, others are served meanwhile, and memory stays where it is.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    client::{Client, JSON, get, post},
    process::App,
};

fn serves(app: &App) {
    let answer = app.connect().ask(&post("/v1", JSON, r#"{"data":"ab"}"#)).unwrap();
    assert_eq!(answer.body, r#"{"data":"BA"}"#);
}

/// Resident memory in KiB.
fn memory(app: &App) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", app.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn bodies_are_refused_for_what_is_wrong_with_them() {
    let app = App::start(&[]);
    let mut client = app.connect();
    let deep = format!("{{\"data\":\"x\",\"more\":{}}}", "[".repeat(100_000));
    for (body, status) in [
        (deep.as_str(), 400),
        (r#"{"data":"\ud800"}"#, 400),
        (r#"{"data":"\udc00\ud800"}"#, 400),
        (r#"{"data":"a","data":"b"}"#, 422),
        ("{\"data\":\"a\0b\"}", 400),
        (r#"{"data":"x"}{"data":"y"}"#, 400),
        (r#"{"data":1e999999}"#, 400),
        ("\u{feff}{\"data\":\"x\"}", 400),
    ] {
        let answer = client.ask(&post("/v1", JSON, body)).unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let answer = client.ask(&post("/v1", JSON, r#"{"data":"a\u0000b\ud83d\ude00"}"#)).unwrap();
    assert_eq!(answer.json()["data"], "😀B\0A");
    for headers in [JSON, "content-type: text/plain\r\n"] {
        let mut request = post("/v1", headers, "{\"data\":\"xxxx\"}").into_bytes();
        let length = request.len();
        request[length - 5..length - 2].copy_from_slice(b"\xff\xc0\xaf");
        client.write_bytes(&request).unwrap();
        assert_eq!(client.read().unwrap().status, 400);
    }
    serves(&app);
}

#[test]
fn heads_are_refused_for_what_is_wrong_with_them() {
    let app = App::start(&[]);
    let huge = "x".repeat(20_000);
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (head, statuses) in [
        (format!("GET /v1 HTTP/1.1\r\nhost: app\r\nx: {huge}\r\n\r\n"), [431, 431]),
        (format!("GET /v1 HTTP/1.1\r\nhost: app\r\n{many}\r\n"), [431, 431]),
        (format!("GET /{huge} HTTP/1.1\r\nhost: app\r\n\r\n"), [414, 431]),
        ("GET /v1 HTTP/9.9\r\nhost: app\r\n\r\n".to_owned(), [400, 505]),
        ("GET  /v1\0 HTTP/1.1\r\n\r\n".to_owned(), [400, 400]),
        ("POST /v1 HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n".to_owned(), [400, 400]),
        ("POST /v1 HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(), [400, 400]),
        ("POST /v1 HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(), [400, 501]),
    ] {
        let mut client = app.connect();
        // It may be cut off before it has said everything.
        let _ = client.write_bytes(head.as_bytes());
        let answer = client.read();
        let answer = answer.unwrap_or_else(|error| panic!("{head:.60}: {error}"));
        assert!(statuses.contains(&answer.status), "{head:.60}: {answer:?}");
        assert!(client.is_closed(), "{head:.60}");
    }
    serves(&app);
}

#[test]
fn tricks_with_paths_lead_nowhere() {
    let app = App::start(&[]);
    let mut client = app.connect();
    for path in ["/../etc/passwd", "//v1", "/v1/", "/v1%00", "/%2e%2e/v1", "/V1", "/v1;x=1", "/healthz/../v1", "/."] {
        let answer = client.ask(&get(path)).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")), "{path}");
    }
    // Requests behind one another are answered in their order.
    let pipeline: String = (0..50).map(|number| post("/v1", JSON, &format!("{{\"data\":\"{number:02}a\"}}"))).collect();
    client.write(&pipeline);
    for number in 0..50 {
        let text: String = format!("{number:02}a").to_uppercase().chars().rev().collect();
        assert_eq!(client.read().unwrap().json()["data"], text);
    }
}

/// How many descriptors this process and those that it starts may have: from now on as many as it may ask for.
fn descriptors() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// 10,000 connections, some mute, some that dribble: the oldest go when there are too many.
#[test]
fn idle_connections_make_room_and_take_little() {
    let held_limit = descriptors() - 200;
    let app = App::start(&[("CONNECTION_LIMIT", "1000")]);
    serves(&app);
    let before = memory(&app);
    let mut held: Vec<TcpStream> = Vec::new();
    let mut most = 0;
    for number in 0..10_000 {
        let mut stream = TcpStream::connect(app.address).unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /v1 HTTP/1.1\r\nx: ").unwrap();
        }
        held.push(stream);
        // This process may not have as many descriptors.
        if held.len() == held_limit {
            held.drain(..held_limit / 2);
        }
        if number % 1000 == 999 {
            serves(&app);
            most = most.max(memory(&app));
        }
    }
    // What a connection takes at most: a buffer for a head, and what stands around it.
    assert!(most - before < 1000 * 24, "{before} KiB before, {most} KiB at most");
    drop(held);
    serves(&app);
}

#[test]
fn of_too_many_connections_the_one_longest_at_rest_is_closed() {
    let app = App::start(&[("CONNECTION_LIMIT", "10")]);
    let mut first = app.connect();
    assert_eq!(first.ask(&get("/v1")).unwrap().status, 200);
    let others: Vec<_> = (0..9).map(|_| app.connect()).collect();
    serves(&app);
    assert!(first.is_closed(), "the oldest is still open");
    drop(others);
}

#[test]
fn more_requests_than_allowed_are_told_to_come_again() {
    let app = App::start(&[("CONCURRENCY_LIMIT", "2"), ("REQUEST_TIMEOUT", "60s")]);
    let mut slow: Vec<Client> = (0..2).map(|_| app.connect()).collect();
    for client in &mut slow {
        client.write(&format!("POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}content-length: 13\r\n\r\n"));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let refused = loop {
        let answer = app.connect().ask(&get("/v1")).unwrap();
        if answer.status == 503 || Instant::now() > deadline {
            break answer;
        }
        thread::yield_now();
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    // How it does is told all the same.
    for path in ["/healthz", "/readyz", "/api/health"] {
        assert_eq!(app.connect().ask(&get(path)).unwrap().status, 200, "{path}");
    }
    for client in &mut slow {
        client.write(r#"{"data":"ab"}"#);
        assert_eq!(client.read().unwrap().body, r#"{"data":"BA"}"#);
    }
    serves(&app);
}

#[test]
fn large_bodies_share_what_they_may_hold() {
    let app = App::start(&[("BODIES_LIMIT", "1MiB"), ("REQUEST_TIMEOUT", "60s")]);
    let body = format!(r#"{{"data":"{}"}}"#, "x".repeat(1_000_000));
    let mut slow = app.connect();
    slow.write(&format!("POST /v1 HTTP/1.1\r\nhost: app\r\n{JSON}content-length: {}\r\n\r\n", body.len()));
    slow.write(&body[..200_000]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let refused = loop {
        let answer = app.connect().ask(&post("/v1", JSON, &body)).unwrap();
        if answer.status == 503 || Instant::now() > deadline {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    serves(&app);
    slow.write(&body[200_000..]);
    assert_eq!(slow.read().unwrap().status, 200);
    assert_eq!(app.connect().ask(&post("/v1", JSON, &body)).unwrap().status, 200);
}

#[test]
fn who_never_reads_is_cut_off() {
    let app = App::start(&[("SEND_TIMEOUT", "500ms"), ("BODIES_LIMIT", "64MiB")]);
    let body = format!(r#"{{"data":"{}"}}"#, "x".repeat(1_000_000));
    let mut deaf = app.connect();
    // More than the buffers between the two hold. The reset comes while it writes, or when it reads at last.
    let request = post("/v1", JSON, &body);
    let cut = (0..1000).any(|_| deaf.write_bytes(request.as_bytes()).is_err());
    assert!(cut, "a thousand answers wait to be read");
    serves(&app);
}
