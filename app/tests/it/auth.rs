//! Who may ask.

use std::sync::atomic::Ordering;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    client::{Answer, JSON},
    issuer::{Issuer, SigningKey},
    ministack::MiniStack,
    process::{App, Directory, command, eventually, under_load},
    users::PASSWORD,
};

fn ask(app: &App, method: &str, path: &str, authorization: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization = match authorization {
        "" => String::new(),
        given => format!("authorization: {given}\r\n"),
    };
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: app\r\n{JSON}{authorization}content-length: {length}\r\n\r\n");
    app.connect().ask(&(head + &body)).unwrap()
}

fn get(app: &App, authorization: &str) -> Answer {
    ask(app, "GET", "/v1", authorization, &Value::Null)
}

fn is_open(app: &App) {
    for path in ["/healthz", "/readyz", "/api/health", "/docs", "/openapi.json"] {
        assert_eq!(ask(app, "GET", path, "", &Value::Null).status, 200, "{path}");
    }
}

fn basic(email: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{email}:{password}")))
}

#[test]
fn users_prove_themselves_by_password() {
    let directory = Directory::new("basic");
    let file = directory.file("users.db");
    let settings =
        [("DATABASE_FILE", file.as_str()), ("DATABASE_MIGRATE", "true"), ("AUTH", "basic"), ("LOG_LEVEL", "trace")];
    let add = |email, password: &str| command(&["add-admin", email, "Root"], &settings, password);
    assert!(
        add("root@example.com", "password12\n").is_err_and(|said| said.contains("the password is too easy to guess"))
    );
    add("root@example.com", &format!("{PASSWORD}\n")).unwrap();
    assert!(add("root@example.com", PASSWORD).is_err_and(|said| said.contains("another user has the address")));

    let mut app = App::start(&settings);
    is_open(&app);
    let challenge = Some("Basic realm=\"app\", charset=\"UTF-8\"");
    let root = basic("Root@example.com", PASSWORD);
    for wrong in ["", "Basic", "Basic !", "Bearer x", &basic("root@example.com", "wrong"), &basic("nobody", PASSWORD)] {
        let refused = get(&app, wrong);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, challenge), "{wrong}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(get(&app, &root).status, 200);
    assert_eq!(get(&app, &format!("{root}\r\nauthorization: {root}")).status, 400);

    // A user sees and changes itself, and nobody else.
    let bob = json!({"email": "bob@example.com", "name": "Bob", "password": "canary-tv8X-2wcb?Rn"});
    let made = ask(&app, "POST", "/v1/users", &root, &bob);
    assert_eq!(made.status, 201, "{}", made.body);
    let path = made.header("location").unwrap();
    let list = ask(&app, "GET", "/v1/users", &root, &Value::Null).json();
    let root_path = format!("/v1/users/{}", list["users"][0]["id"].as_str().unwrap());
    let bob = basic("bob@example.com", "canary-tv8X-2wcb?Rn");
    let matching = |authorization: &str| format!("{authorization}\r\nif-match: *");
    assert_eq!(ask(&app, "GET", path, &bob, &Value::Null).status, 200);
    assert_eq!(ask(&app, "GET", &root_path, &bob, &Value::Null).status, 403);
    assert_eq!(ask(&app, "GET", "/v1/users", &bob, &Value::Null).status, 403);
    assert_eq!(ask(&app, "POST", "/v1/users", &bob, &json!({})).status, 403);
    assert_eq!(ask(&app, "DELETE", &root_path, &bob, &Value::Null).status, 403);
    assert_eq!(ask(&app, "PATCH", path, &matching(&bob), &json!({"admin": true})).status, 403);
    assert_eq!(ask(&app, "PATCH", path, &matching(&bob), &json!({"name": "Robert"})).status, 200);
    // The password that was is not remembered when it has changed, nor the user when it has gone.
    let change = json!({"password": "canary-zz7Q-4mnv&Ks"});
    assert_eq!(ask(&app, "PATCH", path, &matching(&bob), &change).status, 200);
    assert_eq!(get(&app, &bob).status, 401);
    let bob = basic("bob@example.com", "canary-zz7Q-4mnv&Ks");
    assert_eq!(get(&app, &bob).status, 200);
    assert_eq!(ask(&app, "DELETE", path, &bob, &Value::Null).status, 204);
    assert_eq!(get(&app, &bob).status, 401);

    app.process.kill().unwrap();
    for line in app.log() {
        let line = line.to_string();
        assert!(!line.contains("canary") && !line.contains("argon2") && !line.contains(&root[6..]), "{line}");
    }
}

#[test]
fn tokens_of_cognito_are_accepted() {
    let mut server = MiniStack::start();
    let (issuer, discovery, client, ada, id, admin);
    {
        let pool = server.pool(&["ada", "admin"]);
        (issuer, discovery, client) = (pool.issuer(), pool.discovery(), pool.client.clone());
        (ada, id) = (pool.token("ada", "AccessToken"), pool.token("ada", "IdToken"));
        admin = pool.token("admin", "AccessToken");
    }
    let directory = Directory::new("cognito");
    let file = directory.file("users.db");
    let settings = [
        ("AUTH", "jwt"),
        ("JWT_ISSUER", &issuer),
        ("JWT_DISCOVERY", &discovery),
        ("JWT_AUDIENCE", &client),
        ("DATABASE_FILE", &file),
        ("DATABASE_MIGRATE", "true"),
        ("LOG_LEVEL", "trace"),
    ];
    let mut app = App::start(&settings);
    eventually("it has the keys", || ask(&app, "GET", "/readyz", "", &Value::Null).status == 200);
    is_open(&app);
    for token in [&ada, &id, &admin] {
        assert_eq!(get(&app, &format!("Bearer {token}")).status, 200);
        assert_eq!(get(&app, &format!("bearer {token}")).status, 200, "schemes have no case");
    }
    assert_eq!(get(&app, "").header("www-authenticate"), Some("Bearer realm=\"app\""));
    let refused = ask(&app, "GET", "/v1/users", &format!("Bearer {ada}"), &Value::Null);
    let scope = "Bearer realm=\"app\", error=\"insufficient_scope\", scope=\"admin\"";
    assert_eq!((refused.status, refused.header("www-authenticate")), (403, Some(scope)));
    assert_eq!(ask(&app, "GET", "/v1/users", &format!("Bearer {admin}"), &Value::Null).status, 200);

    // Another client of the same pool is another audience.
    let other: Vec<_> =
        settings.iter().map(|(name, value)| (*name, if *name == "JWT_AUDIENCE" { "other" } else { value })).collect();
    let other = App::start(&other);
    let refused = get(&other, &format!("Bearer {ada}"));
    assert!(refused.status == 401 && refused.header("www-authenticate").unwrap().contains("another audience"));

    // The issuer goes while requests come: the keys are known. Who starts now has none, until it is back.
    let late = under_load(
        || assert_eq!(get(&app, &format!("Bearer {ada}")).status, 200),
        || {
            server.kill();
            assert_eq!(ask(&app, "GET", "/readyz", "", &Value::Null).status, 200);
            App::start(&settings)
        },
    );
    let refused = get(&late, &format!("Bearer {ada}"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.body);
    assert_eq!(ask(&late, "GET", "/readyz", "", &Value::Null).status, 503);
    assert_eq!(ask(&late, "GET", "/healthz", "", &Value::Null).status, 200);

    app.process.kill().unwrap();
    for line in app.log() {
        assert!(!line.to_string().contains(&ada), "{line}");
    }
}

#[test]
fn keys_are_rotated_and_bad_tokens_refused() {
    let issuer = Issuer::start();
    let (first, second, stranger) = (SigningKey::new("first"), SigningKey::new("second"), SigningKey::new("first"));
    let settings = [
        ("AUTH", "jwt"),
        ("JWT_ISSUER", issuer.url.as_str()),
        ("JWT_AUDIENCE", "app,more"),
        ("JWT_REFETCH", "500ms"),
        ("JWT_LEEWAY", "5s"),
    ];
    let app = App::start(&settings);
    let status = |token: &str| get(&app, &format!("Bearer {token}")).status;
    let good = first.sign(&issuer.claims());

    // No keys yet: nobody can say whether it is good.
    assert_eq!(status(&good), 503);
    assert_eq!(ask(&app, "GET", "/readyz", "", &Value::Null).status, 503);
    issuer.publish(&[&first]);
    eventually("it has the keys", || status(&good) == 200);
    is_open(&app);

    let with = |changes: Value| {
        let mut claims = issuer.claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        first.sign(&claims)
    };
    let now = jsonwebtoken::get_current_timestamp();
    assert_eq!(status(&with(json!({"aud": ["x", "more"]}))), 200);
    assert_eq!(status(&with(json!({"aud": null, "client_id": "app"}))), 200);
    let refused = [
        ("expired", with(json!({"exp": now - 60}))),
        ("not yet valid", with(json!({"nbf": now + 60}))),
        ("another issuer", with(json!({"iss": "https://example.com"}))),
        ("another audience", with(json!({"aud": "other"}))),
        ("an audience that the client id does not mend", with(json!({"aud": "other", "client_id": "app"}))),
        ("no audience", with(json!({"aud": null}))),
        ("no expiry", with(json!({"exp": null}))),
        ("an expiry that is no number", with(json!({"exp": "soon"}))),
        ("no subject", with(json!({"sub": null}))),
        ("a stranger's key of the same name", stranger.sign(&issuer.claims())),
        ("no signature", unsigned(&good, "none", "")),
        ("an algorithm that takes the public key for a secret", unsigned(&good, "HS256", "AAAA")),
        ("another algorithm", unsigned(&good, "RS256", "AAAA")),
        ("no token", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("too long", "x".repeat(9000)),
    ];
    for (what, token) in refused {
        let answer = get(&app, &format!("Bearer {token}"));
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        assert!(
            challenge.starts_with("Bearer realm=\"app\", error=\"invalid_token\", error_description=\""),
            "{what}: {challenge}"
        );
    }

    // Rotated: the new key is found by its name, and the old one is gone with the set that had it.
    let rotated = second.sign(&issuer.claims());
    assert_eq!(status(&rotated), 401);
    issuer.publish(&[&second]);
    eventually("the new key is known", || status(&rotated) == 200);
    assert_eq!(status(&good), 401);

    // Made-up names of keys don't make it ask each time.
    let before = issuer.asked.load(Ordering::SeqCst);
    let began = std::time::Instant::now();
    for number in 0..200 {
        assert_eq!(status(&SigningKey::new(&format!("made-up-{number}")).sign(&issuer.claims())), 401);
    }
    let asked = issuer.asked.load(Ordering::SeqCst) - before;
    assert!(asked as u128 <= 1 + began.elapsed().as_millis() / 500, "{asked} times in {:?}", began.elapsed());

    // The issuer fails and comes back while requests come: what is known stays good, and what is new is known soon.
    let third = SigningKey::new("third");
    under_load(
        || assert_eq!(status(&rotated), 200),
        || {
            issuer.publish(&[]);
            let added = third.sign(&issuer.claims());
            assert_eq!(status(&added), 401);
            issuer.publish(&[&second, &third]);
            eventually("it is asked again", || status(&added) == 200);
        },
    );
}

/// A good token with another header, and another signature.
fn unsigned(token: &str, algorithm: &str, signature: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": algorithm, "typ": "JWT", "kid": "first"}).to_string());
    let claims = token.split('.').nth(1).unwrap();
    format!("{header}.{claims}.{signature}")
}
