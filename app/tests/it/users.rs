//! Users in real databases.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, JSON},
    mariadb::MariaDb,
    process::{App, Directory, command, eventually, under_load},
};

pub(crate) const PASSWORD: &str = "canary-jk4W-9qzp!Lm";

fn send(client: &mut Client, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: app\r\n{JSON}{headers}content-length: {length}\r\n\r\n");
    client.ask(&(head + &body)).unwrap()
}

fn read(client: &mut Client, path: &str) -> Answer {
    client.ask(&format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n")).unwrap()
}

fn ada() -> Value {
    json!({"email": "Ada@Example.com", "name": " Ada Lovelace ", "password": PASSWORD})
}

/// Everything that can be asked about users, the same for each database.
fn everything(app: &App) {
    let mut client = app.connect();
    let client = &mut client;

    let made = send(client, "POST", "/v1/users", "", &ada());
    assert_eq!(made.status, 201, "{}", made.body);
    let user = made.json();
    assert_eq!(
        (&user["email"], &user["name"], &user["admin"]),
        (&json!("ada@example.com"), &json!("Ada Lovelace"), &json!(false))
    );
    assert_eq!(user.as_object().unwrap().len(), 6, "no password in any form: {user}");
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(path, format!("/v1/users/{}", user["id"].as_str().unwrap()));
    assert_eq!(made.header("etag"), Some("\"1\""));

    let same = read(client, &path);
    assert_eq!((same.status, same.header("etag"), same.json()), (200, Some("\"1\""), user.clone()));
    let known =
        client.ask(&format!("GET {path} HTTP/1.1\r\nhost: app\r\nif-none-match: \"0\", W/\"1\"\r\n\r\n")).unwrap();
    assert_eq!(known.status, 304);

    let twice =
        send(client, "POST", "/v1/users", "", &json!({"email": "ada@example.COM", "name": "A", "password": PASSWORD}));
    assert_eq!((twice.status, twice.header("content-type")), (409, Some("application/problem+json")));

    let wrong = send(client, "POST", "/v1/users", "", &json!({"email": "ada", "name": "\n", "password": "short"}));
    assert_eq!(wrong.status, 422);
    let fields: Vec<_> =
        wrong.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["email", "name", "password"], "all at once");
    let weak = json!({"email": "bob@example.com", "name": "Bob", "password": "password123"});
    let weak = send(client, "POST", "/v1/users", "", &weak);
    assert_eq!((weak.status, &weak.json()["errors"][0]["field"]), (422, &json!("password")));
    let more = json!({"email": "bob@example.com", "name": "Bob", "password": PASSWORD, "id": "x"});
    assert_eq!(send(client, "POST", "/v1/users", "", &more).status, 422);
    assert_eq!(client.ask("POST /v1/users HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\n{}").unwrap().status, 415);

    let name = json!({"name": "Countess 👩🏽‍🔬"});
    assert_eq!(send(client, "PATCH", &path, "", &name).status, 428);
    assert_eq!(send(client, "PATCH", &path, "if-match: *\r\n", &json!({"name": null})).status, 422);
    for stale in ["\"2\"", "W/\"1\"", "1", "\"x\""] {
        assert_eq!(send(client, "PATCH", &path, &format!("if-match: {stale}\r\n"), &name).status, 412, "{stale}");
    }
    let changed = send(client, "PATCH", &path, "if-match: \"7\", \"1\"\r\n", &name);
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{}", changed.body);
    assert_eq!((&changed.json()["name"], &changed.json()["email"]), (&name["name"], &user["email"]));
    assert_eq!(changed.json()["created"], user["created"]);
    assert_eq!(send(client, "PATCH", &path, "if-match: \"1\"\r\n", &name).status, 412);
    assert_eq!(send(client, "PATCH", &path, "if-match: *\r\n", &json!({"password": "ada@example.com"})).status, 422);

    let bob = json!({"email": "bob@example.com", "name": "Bob", "password": PASSWORD});
    let bob = send(client, "POST", "/v1/users", "", &bob).header("location").unwrap().to_owned();
    let taken = send(client, "PATCH", &bob, "if-match: *\r\n", &json!({"email": "ada@example.com"}));
    assert_eq!(taken.status, 409);
    assert_eq!(send(client, "DELETE", &bob, "if-match: \"9\"\r\n", &Value::Null).status, 412);
    assert_eq!(send(client, "DELETE", &bob, "if-match: \"1\"\r\n", &Value::Null).status, 204);
    for missing in [bob.as_str(), "/v1/users/nobody", "/v1/users/00000000-0000-0000-0000-000000000000"] {
        assert_eq!(read(client, missing).status, 404);
        assert_eq!(send(client, "DELETE", missing, "", &Value::Null).status, 404);
        assert_eq!(send(client, "PATCH", missing, "if-match: *\r\n", &name).status, 404);
    }

    pages(client);
    racing(app, &path);
}

/// Six more users, in pages of two: each once, in the order of creation.
fn pages(client: &mut Client) {
    for number in 0..6 {
        let user = json!({"email": format!("u{number}@example.com"), "name": "U", "password": PASSWORD});
        assert_eq!(send(client, "POST", "/v1/users", "", &user).status, 201);
    }
    let (mut path, mut emails) = ("/v1/users?limit=2".to_owned(), Vec::new());
    loop {
        let page = read(client, &path);
        assert_eq!(page.status, 200, "{}", page.body);
        let users = page.json()["users"].as_array().unwrap().clone();
        assert!((1..=2).contains(&users.len()));
        emails.extend(users.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else { break };
        path = format!("/v1/users?limit=2&cursor={next}");
        assert_eq!(page.header("link"), Some(format!("<{path}>; rel=\"next\"").as_str()));
    }
    let expected = ["ada", "u0", "u1", "u2", "u3", "u4", "u5"].map(|name| format!("{name}@example.com"));
    assert_eq!(emails, expected);
    for bad in ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=AAAA", "limit=-1"] {
        assert_eq!(read(client, &format!("/v1/users?{bad}")).status, 400, "{bad}");
    }
}

/// Eight at once change what all have seen: one does, none is lost.
fn racing(app: &App, path: &str) {
    let seen = read(&mut app.connect(), path).header("etag").unwrap().to_owned();
    let change = |number: usize| {
        let name = json!({"name": format!("Racer {number}")});
        send(&mut app.connect(), "PATCH", path, &format!("if-match: {seen}\r\n"), &name).status
    };
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || change(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
}

fn is_secret_free(log: &[Value]) {
    assert!(!log.is_empty());
    for line in log {
        let line = line.to_string();
        for secret in ["canary", "argon2", "$v=19"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}

#[test]
fn users_are_kept_in_a_file() {
    let directory = Directory::new("sqlite");
    let file = directory.file("users ? 100%.db");
    let settings = [("DATABASE_FILE", file.as_str()), ("LOG_LEVEL", "trace")];

    // Nobody has migrated it yet: alive, but not ready, and no user.
    let mut app = App::start(&settings);
    assert_eq!(read(&mut app.connect(), "/healthz").status, 200);
    let ready = read(&mut app.connect(), "/readyz");
    assert!(ready.status == 503 && ready.body.contains("app migrate"), "{}", ready.body);
    let answer = send(&mut app.connect(), "POST", "/v1/users", "", &ada());
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);

    // The same process goes on when it is.
    for _ in 0..2 {
        command(&["migrate"], &settings, "").unwrap();
    }
    assert_eq!(read(&mut app.connect(), "/readyz").status, 200);
    everything(&app);
    app.process.kill().unwrap();
    let log = app.log();
    is_secret_free(&log);
    let warned = log.iter().filter(|line| line["level"] == "WARN" && line.to_string().contains("AUTH is off"));
    assert_eq!(warned.count(), 1);
    let kept = fs::read(&file).unwrap();
    let wal = fs::read(format!("{file}-wal")).unwrap_or_default();
    let holds =
        |text: &str| [&kept, &wal].iter().any(|bytes| bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes()));
    assert!(holds("$argon2id$v=19$m=19456,t=2,p=1$") && !holds("canary"), "hashes only");

    // Another process has them too.
    let app = App::start(&settings);
    assert_eq!(read(&mut app.connect(), "/v1/users").json()["users"].as_array().unwrap().len(), 7);
}

#[test]
fn users_are_kept_in_mariadb_which_may_go_and_come_back() {
    let mut server = MariaDb::start();
    let url = server.url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_TIMEOUT", "1s"),
        ("DATABASE_MIGRATE", "true"),
        ("LOG_LEVEL", "trace"),
    ];
    // Two at once both want to migrate, and take turns.
    let mut both = thread::scope(|scope| {
        [scope.spawn(|| App::start(&settings)), scope.spawn(|| App::start(&settings))].map(|one| one.join().unwrap())
    });
    let app = &both[0];
    assert_eq!(read(&mut app.connect(), "/readyz").status, 200);
    everything(app);
    let hash = server.query("SELECT password FROM users LIMIT 1").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");

    // During load: what needs it has it or says 503, and what doesn't goes on.
    let load = || {
        let mut client = app.connect();
        assert!(matches!(read(&mut client, "/v1/users").status, 200 | 503));
        assert_eq!(send(&mut client, "POST", "/v1", "", &json!({"data": "still"})).json()["data"], "LLITS");
    };
    under_load(load, || {
        server.kill();
        unavailable(app);
        assert!(
            command(&["migrate"], &[("DATABASE_URL", &url), ("DATABASE_WAIT", "2s"), ("DATABASE_TIMEOUT", "1s")], "")
                .is_err_and(|said| said.contains("waiting for the database: none after 2s") && !said.contains("canary"))
        );
        server.bring_back();
        eventually("it is ready again", || read(&mut app.connect(), "/readyz").status == 200);
        assert_eq!(read(&mut app.connect(), "/v1/users").status, 200);

        // Frozen: connections stay open and nothing is answered.
        server.freeze(true);
        unavailable(app);
        server.freeze(false);
        eventually("it is ready again", || read(&mut app.connect(), "/readyz").status == 200);
        assert_eq!(read(&mut app.connect(), "/v1/users").json()["users"].as_array().unwrap().len(), 7);
    });

    for app in &mut both {
        app.process.kill().unwrap();
        is_secret_free(&app.log());
    }
}

fn unavailable(app: &App) {
    let mut client = app.connect();
    for path in ["/v1/users", "/v1/users/00000000-0000-0000-0000-000000000000"] {
        let answer = read(&mut client, path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (503, Some("application/problem+json")),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(read(&mut client, "/readyz").status, 503);
    assert_eq!(read(&mut client, "/healthz").status, 200);
    assert_eq!(send(&mut client, "POST", "/v1", "", &json!({"data": "still"})).json()["data"], "LLITS");
}

/// A start waits for a database that is still coming up.
#[test]
fn a_start_waits_for_the_database() {
    let mut server = MariaDb::start();
    server.kill();
    let url = server.url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_MIGRATE", "true"),
        ("DATABASE_TIMEOUT", "1s"),
        ("DATABASE_WAIT", "5m"),
    ];
    // Told to end before there is one, it ends.
    let mut early = Command::new(env!("CARGO_BIN_EXE_app"));
    let early = early.env_clear().envs(settings).env("LOG_LEVEL", "info").stdout(Stdio::piped()).spawn();
    let mut early = early.unwrap();
    let mut lines = BufReader::new(early.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waiting for the database")), "it ended");
    kill_process(Pid::from_child(&early), Signal::TERM).unwrap();
    assert!(early.wait().unwrap().success());

    thread::scope(|scope| {
        let starting = scope.spawn(|| App::start(&settings));
        server.bring_back();
        let app = starting.join().unwrap();
        assert_eq!(read(&mut app.connect(), "/readyz").status, 200);
    });
}
