//! The endpoints that reverse and change case.

use serde_json::{Value, json};

use crate::{
    client::{JSON, get, post},
    process::App,
};

const TEXT: &str = "content-type: text/plain; charset=utf-8\r\n";
const LINES: &str = "content-type: application/x-ndjson\r\n";

#[test]
fn a_text_comes_and_goes_in_either_form() {
    let app = App::start(&[]);
    let mut client = app.connect();
    let input = r#"{"data":"né\n"}"#;
    let (json, text) = ("application/json", "text/plain; charset=utf-8");
    for (headers, body, status, form, expected) in [
        (TEXT.to_owned(), "né\n", 200, text, "\nÉN"),
        (format!("{TEXT}accept: application/json\r\n"), "né", 200, json, r#"{"data":"ÉN"}"#),
        (format!("{JSON}accept: text/*\r\n"), input, 200, text, "\nÉN"),
        (format!("{JSON}accept: text/html, */*;q=0.1\r\n"), input, 200, json, r#"{"data":"\nÉN"}"#),
    ] {
        let answer = client.ask(&post("/v1", &headers, body)).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (status, expected), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some(form));
    }
    let answer = client.ask(&post("/v1", &format!("{JSON}accept: text/html\r\n"), input)).unwrap();
    assert_eq!((answer.status, answer.json()["title"].as_str()), (406, Some("Not Acceptable")));
    let answer = client.ask(&post("/v1", "content-type: text/plain; charset=latin1\r\n", "x")).unwrap();
    assert_eq!(answer.status, 415);
}

#[test]
fn words_are_mirrored() {
    let app = App::start(&[]);
    let mut client = app.connect();
    assert_eq!(client.ask(&get("/api/health")).unwrap().body, r#"{"status":"ok"}"#);
    assert_eq!(client.ask(&get("/api/mirror?word=fOoBar25")).unwrap().body, r#"{"transformed":"52RAbOoF"}"#);
    let answer = client.ask(&get("/api/mirror?word=a%F0%9F%87%A9%F0%9F%87%AA+%C3%89")).unwrap();
    assert_eq!(answer.json(), json!({"transformed": "é 🇩🇪A"}));
    for path in ["/api/mirror", "/api/mirror?word=%ff", "/api/mirror?word=a&word=b"] {
        assert_eq!(client.ask(&get(path)).unwrap().json()["status"], 400, "{path}");
    }
}

#[test]
fn a_batch_is_answered_item_by_item() {
    let app = App::start(&[("BODY_LIMIT", "2KiB")]);
    let mut client = app.connect();
    let large = json!({"data": "x".repeat(3000)}).to_string();
    let array = format!(r#"[{{"data":"ab"}}, {{"data": 5}}, {large}, {{"data":"][,\""}}]"#);
    let answer = client.ask(&post("/v1/batch", JSON, &array)).unwrap();
    let items = answer.json();
    assert_eq!((answer.status, items.as_array().unwrap().len()), (200, 4), "{answer:?}");
    assert_eq!((&items[0], &items[3]), (&json!({"data": "BA"}), &json!({"data": "\",[]"})));
    assert_eq!((&items[1]["error"]["status"], &items[2]["error"]["status"]), (&json!(422), &json!(413)));

    let lines = format!("{{\"data\":\"ab\"}}\r\n\n{{\n{large}\n{{\"data\":\"straße\"}}");
    let answer = client.ask(&post("/v1/batch", LINES, &lines)).unwrap();
    let items: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((answer.header("content-type"), items.len()), (Some("application/x-ndjson"), 4), "{answer:?}");
    assert_eq!((&items[0], &items[3]), (&json!({"data": "BA"}), &json!({"data": "ESSARTS"})));
    assert_eq!((&items[1]["error"]["status"], &items[2]["error"]["status"]), (&json!(400), &json!(413)));

    assert_eq!(client.ask(&post("/v1/batch", JSON, "[]")).unwrap().body, "[]");
    assert_eq!(client.ask(&post("/v1/batch", LINES, "")).unwrap().body, "");
    // As long as nothing has been answered there is a status; later an error ends what has been.
    for broken in ["", "{}", "[nonsense]", "[,", "[{\"data\":\"x\""] {
        assert_eq!(client.ask(&post("/v1/batch", JSON, broken)).unwrap().json()["status"], 400, "{broken}");
    }
    let answer = client.ask(&post("/v1/batch", JSON, r#"[{"data":"ab"}, {]"#)).unwrap();
    let items = answer.json();
    assert_eq!((&items[0], &items[1]["error"]["status"]), (&json!({"data": "BA"}), &json!(400)), "{answer:?}");
}

#[test]
fn a_batch_streams_both_ways() {
    let app = App::start(&[("BATCH_LIMIT", "4MiB")]);
    let mut client = app.connect();
    client.write(&format!("POST /v1/batch HTTP/1.1\r\nhost: app\r\n{LINES}transfer-encoding: chunked\r\n\r\n"));
    let send =
        |client: &mut crate::client::Client, text: &str| client.write(&format!("{:x}\r\n{text}\r\n", text.len()));
    send(&mut client, "{\"data\":\"ab\"}\n{\"da");
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(client.chunk().unwrap().unwrap(), b"{\"data\":\"BA\"}\n");
    send(&mut client, "ta\":\"cd\"}\n");
    assert_eq!(client.chunk().unwrap().unwrap(), b"{\"data\":\"DC\"}\n");
    // Beyond the limit it ends with an error that says so.
    let line = format!("{}\n", json!({"data": "x".repeat(60_000)}));
    let error = loop {
        send(&mut client, &line);
        let chunk = String::from_utf8(client.chunk().unwrap().unwrap()).unwrap();
        if chunk.contains("error") {
            break chunk;
        }
    };
    assert!(error.contains("a batch has 4194304 bytes at most"), "{error}");
    assert_eq!(client.chunk().unwrap(), None);
}

#[test]
fn http_2_is_spoken_with_prior_knowledge() {
    let app = App::start(&[]);
    let url = format!("http://{}/v1", app.address);
    let client = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--http2-prior-knowledge", "--write-out", " %{http_version} %{http_code}"])
        .args(["--json", "{\"data\":\"reverse me\"}", &url])
        .output()
        .unwrap();
    let answers = String::from_utf8(client.stdout).unwrap();
    assert_eq!(answers, "{\"data\":\"EM ESREVER\"} 2 200", "{}", String::from_utf8_lossy(&client.stderr));
}

#[test]
fn requests_share_a_connection_of_http_2() {
    let app = App::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(app.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        // More than there may be at once: the others wait for their turn.
        let answers = (0..500).map(|number| {
            let mut client = client.clone();
            async move {
                let request = hyper::Request::post("http://app/v1").header("content-type", "text/plain");
                let request = request.body(http_body_util::Full::new(axum::body::Bytes::from(format!("a{number}"))));
                let answer = client.send_request(request.unwrap()).await.unwrap();
                assert_eq!(answer.status(), 200);
                let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
                let expected: String = format!("A{number}").chars().rev().collect();
                assert_eq!(body, expected.as_bytes());
            }
        });
        futures::future::join_all(answers).await;
    });
}
