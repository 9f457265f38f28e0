//! What the service tells those who look after it: metrics, the log, traces. Prometheus' own tool and OpenTelemetry's own
//! protobuf classes read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    client::{Client, JSON, get, post},
    process::App,
    stub::Stub,
};

const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A service that has answered a request of each kind, and what it shows to Prometheus.
fn measured() -> String {
    let app = App::start(&[("METRICS_PORT", "0")]);
    let mut client = app.connect();
    for request in [
        post("/v1", JSON, r#"{"data":"reverse me"}"#),
        post("/v1", JSON, "{"),
        post("/", JSON, r#"{"data":"ß"}"#),
        get("/nothing/here/1"),
        get("/nothing/here/2"),
        get("/v1"),
        "BREW /v1 HTTP/1.1\r\nhost: app\r\n\r\n".to_owned(),
    ] {
        client.ask(&request).unwrap();
    }
    assert_eq!(client.ask(&get("/metrics")).unwrap().status, 404, "clients do not see them");
    let answer = Client::connect(app.metrics.unwrap()).unwrap().ask(&get("/metrics")).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    answer.body
}

fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs: `cargo xtask test` installs it");
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn metrics_are_what_prometheus_takes() {
    let text = measured();
    promtool(&["check", "metrics"], &text);
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse::<f64>().unwrap()
    };
    assert_eq!(value(r#"app_http_requests_total{method="POST",route="/v1",status="200"}"#), 1.0);
    assert_eq!(value(r#"app_http_requests_total{method="POST",route="/v1",status="400"}"#), 1.0);
    // Whatever clients make up is one series.
    assert_eq!(value(r#"app_http_requests_total{method="GET",route="none",status="404"}"#), 3.0);
    assert_eq!(value(r#"app_http_requests_total{method="other",route="/v1",status="405"}"#), 1.0);
    assert!(!text.contains("BREW") && !text.contains("nothing"), "{text}");
    assert_eq!(value(r#"app_http_request_duration_seconds_count{route="/v1"}"#), 4.0);
    assert_eq!(value(r#"app_build_info{version="test-1"}"#), 1.0);
    assert_eq!(value("app_http_requests_in_flight"), 0.0);
    assert_eq!(value("app_http_requests_in_flight_limit"), 512.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0);
}

/// Expressions of the dashboard and the alerts are PromQL, and of metrics and labels that there are.
#[test]
fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let folder = root().join("manifests/components/monitoring");
    let dashboard: Value = serde_json::from_slice(&fs::read(folder.join("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let mut expressions: Vec<String> = panels
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m"))
        .collect();
    assert!(expressions.len() > 15);
    let rules = expressions.iter().map(|expression| json!({"record": "a:b", "expr": expression}));
    let rules: Vec<Value> = rules
        .enumerate()
        .map(|(number, mut rule)| {
            rule["record"] = format!("panel:{number}").into();
            rule
        })
        .collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dashboard-{}.yaml", std::process::id()));
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
    fs::remove_file(&file).unwrap();
    // Prometheus itself takes the alerts in a test of the components.
    let alerts = fs::read_to_string(folder.join("alerts.yaml")).unwrap();
    expressions.extend(alerts.lines().filter_map(|line| Some(line.trim().strip_prefix("expr: ")?.to_owned())));
    let mut there: BTreeSet<String> = BTreeSet::from(["up".to_owned()]);
    let text = measured();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        there.insert(if kind == "histogram" { format!("{name}_bucket") } else { name.to_owned() });
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut asked = BTreeSet::new();
    for expression in &expressions {
        for (index, _) in expression.match_indices('{') {
            let start = expression[..index].rfind(|c| !word(c)).map_or(0, |index| index + 1);
            asked.insert(expression[start..index].to_owned());
        }
    }
    asked.retain(|name| !name.is_empty());
    assert!(asked.len() > 10, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|name| !there.contains(*name) && !name.ends_with("p99_rate5m")).collect();
    assert!(missing.is_empty(), "nothing exposes {missing:?}");
}

#[test]
fn a_request_is_found_again_in_the_log() {
    let mut app = App::start(&[("DRAIN_DELAY", "0")]);
    let mut client = app.connect();
    let given = format!("x-request-id: mine-1\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n{JSON}");
    let answer = client.ask(&post("/v1?token=s3cret", &given, r#"{"data":"s3cret"}"#)).unwrap();
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let new = client.ask(&get("/v1")).unwrap().header("x-request-id").unwrap().to_owned();
    assert_eq!(new.len(), 32, "{new}");
    let forged = client.ask(&post("/v1", &format!("x-request-id: a\"}}b\r\n{JSON}"), r#"{"data":""}"#)).unwrap();
    assert_eq!(forged.header("x-request-id").unwrap().len(), 32);
    drop(client);
    app.signal(Signal::TERM);
    assert!(app.wait().success());
    let log = app.log();
    let line = |id: &str| log.iter().find(|line| line["request_id"] == id).unwrap_or_else(|| panic!("{id}: {log:?}"));
    let mine = line("mine-1");
    assert_eq!((&mine["trace_id"], &mine["path"], &mine["status"]), (&json!(TRACE), &json!("/v1"), &json!(200)));
    assert!(mine["span_id"] != "00f067aa0ba902b7" && mine["timestamp"].is_string() && mine["level"] == "DEBUG");
    assert_eq!(line(&new)["trace_id"], new.as_str());
    assert!(!format!("{log:?}").contains("s3cret"), "{log:?}");
}

/// A collector: it keeps the bodies that it is sent.
fn collector() -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, bodies) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (BufReader::new(stream.unwrap()), sender.clone());
            thread::spawn(move || {
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let head = head.to_ascii_lowercase();
                    assert!(head.starts_with("post /v1/traces "), "{head}");
                    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                    let mut body = vec![0; length.parse().unwrap()];
                    stream.read_exact(&mut body).unwrap();
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                    let _ = sender.send(body);
                }
            });
        }
    });
    (address, bodies)
}

/// OpenTelemetry's own classes make JSON of what was sent.
fn decoded(body: &[u8]) -> Value {
    let program = "import sys\n\
        from google.protobuf.json_format import MessageToJson\n\
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest\n\
        print(MessageToJson(ExportTraceServiceRequest.FromString(sys.stdin.buffer.read())))\n";
    let mut python = Command::new(root().join("target/venv/bin/python"))
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo xtask test` makes target/venv");
    python.stdin.take().unwrap().write_all(body).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn attributes(of: &Value) -> BTreeMap<&str, &Value> {
    let pairs = of["attributes"].as_array().unwrap().iter();
    pairs
        .map(|pair| (pair["key"].as_str().unwrap(), pair["value"].as_object().unwrap().values().next().unwrap()))
        .collect()
}

/// Bytes in protobuf's JSON are base64; ids are wanted in hex.
fn hex(base64: &Value) -> String {
    let digit =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let bits: String = base64.as_str().unwrap().bytes().filter_map(digit).map(|six| format!("{six:06b}")).collect();
    let bytes = bits.as_bytes().chunks_exact(8).map(|bits| std::str::from_utf8(bits).unwrap());
    bytes.map(|bits| format!("{:02x}", u8::from_str_radix(bits, 2).unwrap())).collect()
}

#[test]
fn traces_go_to_the_collector() {
    let (address, bodies) = collector();
    let mut app = App::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address), ("DRAIN_DELAY", "0")]);
    let mut client = app.connect();
    let parent = |flags: &str| format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-{flags}\r\n{JSON}");
    assert_eq!(client.ask(&post("/v1?q=s3cret", &parent("01"), r#"{"data":"s3cret"}"#)).unwrap().status, 200);
    // Its caller decided that it is not traced.
    assert_eq!(client.ask(&post("/", &parent("00"), r#"{"data":"x"}"#)).unwrap().status, 200);
    assert_eq!(client.ask(&get("/nowhere")).unwrap().status, 404);
    drop(client);
    app.signal(Signal::TERM);
    assert!(app.wait().success());
    let log = app.log();
    let mut spans = Vec::new();
    while spans.len() < 2 {
        let body = bodies.recv_timeout(PATIENCE).expect("the last ones are sent before it ends");
        let text = decoded(&body).to_string();
        assert!(!text.contains("s3cret"), "{text}");
        for resource in decoded(&body)["resourceSpans"].as_array().unwrap() {
            let about = attributes(&resource["resource"]);
            assert_eq!((about["service.name"], about["service.version"]), (&json!("app"), &json!("test-1")));
            spans.extend(
                resource["scopeSpans"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|scope| scope["spans"].as_array().unwrap().clone()),
            );
        }
    }
    assert_eq!(spans.len(), 2, "{spans:?}");
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{spans:?}"));
    let span = named("POST /v1");
    assert_eq!((hex(&span["traceId"]).as_str(), hex(&span["parentSpanId"]).as_str()), (TRACE, "00f067aa0ba902b7"));
    assert_eq!(span["kind"], "SPAN_KIND_SERVER");
    let about = attributes(span);
    assert_eq!((about["http.route"], about["http.response.status_code"]), (&json!("/v1"), &json!("200")));
    let line = log.iter().find(|line| line["trace_id"] == TRACE && line["path"] == "/v1").unwrap();
    assert_eq!(line["span_id"], hex(&span["spanId"]).as_str(), "the log names the span");
    assert!(named("GET none")["parentSpanId"].is_null());
}

/// A collector that is not there keeps no request waiting.
#[test]
fn a_collector_that_is_gone_is_nobodys_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut app = App::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{gone}")), ("DRAIN_DELAY", "0")]);
    let mut client = app.connect();
    for _ in 0..100 {
        assert_eq!(client.ask(&get("/v1")).unwrap().status, 200);
    }
    drop(client);
    app.signal(Signal::TERM);
    assert!(app.wait().success());
}

/// Asking the upcasing service is counted, and a span within that of the request.
#[test]
fn what_is_asked_of_others_is_seen() {
    let (stub, (address, bodies)) = (Stub::start(), collector());
    let mut app = App::start(&[
        ("UPCASE", "shoutcloud"),
        ("SHOUTCLOUD_URL", &stub.url()),
        ("METRICS_PORT", "0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &address),
        ("DRAIN_DELAY", "0"),
    ]);
    let mut client = app.connect();
    for _ in 0..2 {
        assert_eq!(client.ask(&post("/v1", JSON, r#"{"data":"abc"}"#)).unwrap().json()["data"], "CBA");
    }
    drop(client);
    let text = Client::connect(app.metrics.unwrap()).unwrap().ask(&get("/metrics")).unwrap().body;
    for line in [
        r#"app_upstream_requests_total{outcome="success"} 1"#,
        r#"app_upstream_request_duration_seconds_count{outcome="success"} 1"#,
        r#"app_cache_requests_total{result="hit",tier="memory"} 1"#,
        r#"app_cache_requests_total{result="miss",tier="memory"} 1"#,
        "app_upstream_circuit_open 0",
    ] {
        assert!(text.lines().any(|given| given == line), "no {line} in\n{text}");
    }
    app.signal(Signal::TERM);
    assert!(app.wait().success());
    let mut spans = Vec::new();
    while spans.len() < 3 {
        let body = decoded(&bodies.recv_timeout(PATIENCE).expect("three spans"));
        for scope in body["resourceSpans"][0]["scopeSpans"].as_array().unwrap() {
            spans.extend(scope["spans"].as_array().unwrap().clone());
        }
    }
    let asked = spans.iter().find(|span| span["name"] == "POST shoutcloud").unwrap();
    let parent = spans.iter().find(|span| span["spanId"] == asked["parentSpanId"]).unwrap();
    assert_eq!((&parent["name"], &asked["kind"]), (&json!("POST /v1"), &json!("SPAN_KIND_CLIENT")));
    assert_eq!(asked["traceId"], parent["traceId"]);
}
