//! How often one client may ask.

use crate::{
    client::{Answer, get},
    process::App,
};

fn ask(app: &App, forwarded: &str) -> Answer {
    let request = format!("GET /v1 HTTP/1.1\r\nhost: app\r\nx-forwarded-for: {forwarded}\r\n\r\n");
    app.connect().ask(&request).unwrap()
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let settings = [("RATE_LIMIT", "1/m"), ("RATE_BURST", "3"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let app = App::start(&settings);
    for _ in 0..3 {
        assert_eq!(ask(&app, "192.0.2.1").status, 200);
    }
    let refused = ask(&app, "192.0.2.1");
    assert_eq!((refused.status, refused.header("content-type")), (429, Some("application/problem+json")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(ask(&app, "6.6.6.6, 192.0.2.1").status, 429, "what the client says itself is not believed");
    assert_eq!(ask(&app, "192.0.2.2").status, 200, "another one");
    // What asks whether the service lives is never refused.
    for _ in 0..10 {
        assert_eq!(app.connect().ask(&get("/healthz")).unwrap().status, 200);
        assert_eq!(app.connect().ask(&get("/readyz")).unwrap().status, 200);
    }
}

#[test]
fn without_trusted_proxies_the_client_is_who_connects() {
    let app = App::start(&[("RATE_LIMIT", "1/m"), ("RATE_BURST", "2")]);
    let statuses: Vec<u16> = (0..4).map(|number| ask(&app, &format!("192.0.2.{number}")).status).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
}
