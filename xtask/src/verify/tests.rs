use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn check_of(edit: impl FnOnce(&mut Check)) -> Check {
    let mut check = Check {
        name: "reverses".into(),
        method: "POST".into(),
        path: "/v1".into(),
        headers: BTreeMap::from([
            ("authorization".into(), "Bearer abc".into()),
            ("content-type".into(), "application/json".into()),
        ]),
        body: Some(r#"{"data":"ab"}"#.into()),
        status: 200,
        json: Some(json!({"data": "BA"})),
        contains: None,
        timeout: Duration::from_millis(400),
    };
    edit(&mut check);
    check
}

fn environment(verify: Vec<Check>) -> Environment {
    Environment {
        name: "local".into(),
        file: PathBuf::new(),
        root: PathBuf::new(),
        service: crate::config::Service { name: "app".into(), namespace: "app".into() },
        image: crate::config::Image { package: "app".into(), builder: crate::config::Builder::Host },
        registry: crate::config::Registry::Local,
        cluster: crate::config::Cluster::Local,
        manifests: PathBuf::new(),
        rollout: crate::config::Rollout { timeout: Duration::from_secs(1) },
        verify,
    }
}

/// A server that gives these answers in turn, the last one again and again; counts the requests.
async fn server(answers: &'static [(u16, &'static str)]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let index = counter.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answers[index.min(answers.len() - 1)];
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, count)
}

async fn run(url: &str, check: Check) -> Result<Verified> {
    super::check(url, &environment(vec![check]), &Step::silent()).await
}

#[tokio::test]
async fn a_right_answer_passes() {
    let (url, _) = server(&[(200, r#"{"data":"BA"}"#)]).await;
    let verified = run(&url, check_of(|_| {})).await.expect("it passes");
    assert_eq!((verified.checks[0].request.as_str(), verified.checks[0].status), ("POST /v1", 200));
    assert!(verified.to_string().ends_with(" ms, 1 of 1 checks"), "{verified}");
}

#[tokio::test]
async fn a_service_that_is_starting_is_asked_again() {
    let (url, count) = server(&[(503, ""), (404, ""), (200, r#"{"data":"BA"}"#)]).await;
    run(&url, check_of(|_| {})).await.expect("the third answer is right");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_wrong_answer_is_shown_beside_what_was_expected() {
    let (url, count) = server(&[(200, r#"{"data":"AB"}"#)]).await;
    let check = check_of(|check| check.timeout = Duration::from_secs(60));
    let error = run(&url, check).await.expect_err("it is wrong");
    assert_eq!(error.message, format!("check `reverses`: POST {url}/v1 answered 200 with other JSON"));
    assert_eq!(
        error.causes,
        [
            "request: POST /v1\n  authorization: (hidden)\n  content-type: application/json\n  {\"data\":\"ab\"}",
            "expected: {\"data\":\"BA\"}",
            "answer: status 200\n  {\"data\":\"AB\"}",
        ]
    );
    assert_eq!((error.hint.as_deref(), error.exit_code()), (Some("cargo xtask logs --env local"), 1));
    assert_eq!(count.load(Ordering::SeqCst), BELIEVED, "the deadline is far away");
}

#[tokio::test]
async fn a_wrong_status_fails_at_the_deadline() {
    let (url, count) = server(&[(500, "boom")]).await;
    let error = run(&url, check_of(|_| {})).await.expect_err("it is wrong");
    assert_eq!(error.message, format!("check `reverses`: POST {url}/v1 answered 500, not 200"));
    assert_eq!(error.causes[1..], ["expected: status 200", "answer: status 500\n  boom"]);
    assert!(count.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn nobody_there_times_out() {
    // Bound and dropped: nothing listens there now.
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound").port();
    let error = run(&format!("http://127.0.0.1:{port}"), check_of(|_| {})).await.expect_err("nobody is there");
    let message = format!("check `reverses`: POST http://127.0.0.1:{port}/v1 was not answered in 0.4 s");
    assert_eq!((error.message, error.kind), (message, Kind::TimedOut));
    assert!(error.causes[0].contains("Connection refused"), "{:?}", error.causes);
}

#[test]
fn text_and_json_are_compared() {
    let answer = |body: &'static str| Answer { status: 200, body: body.into() };
    let contains = check_of(|check| {
        check.json = None;
        check.contains = Some("hello".into());
    });
    assert_eq!(answer("oh hello").mismatch(&contains), None);
    let mismatch = answer("bye").mismatch(&contains).expect("it lacks it");
    assert_eq!(mismatch.sentence, "answered 200 without the text that is expected");
    assert_eq!(mismatch.expected, "a body that contains \"hello\"");
    let mismatch = answer("<html>").mismatch(&check_of(|_| {})).expect("it is no JSON");
    assert_eq!(mismatch.sentence, "answered 200 with what is no JSON (expected value at line 1 column 1)");
    let long = Answer { status: 200, body: "x".repeat(600).into() };
    assert!(long.shown().ends_with("\n  ... and 100 characters more"), "{}", long.shown());
}

#[test]
fn the_address_is_the_load_balancers() {
    let service = |spec: Value, ingress: Value| {
        let service = json!({"spec": spec, "status": {"loadBalancer": {"ingress": ingress}}});
        address::of(&serde_json::from_value(service).expect("a Service"))
    };
    let spec =
        json!({"type": "LoadBalancer", "ports": [{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "http"}]});
    assert_eq!(service(spec.clone(), json!([{"ip": "127.0.0.1"}])).as_deref(), Ok("http://127.0.0.1:8080"));
    assert_eq!(service(spec.clone(), json!([{"ip": "::1"}])).as_deref(), Ok("http://[::1]:8080"));
    let plain = json!({"type": "LoadBalancer", "ports": [{"port": 80}]});
    assert_eq!(service(plain, json!([{"hostname": "a.elb.example"}])).as_deref(), Ok("http://a.elb.example"));
    assert_eq!(service(spec, json!([])), Err("its load balancer has no address yet".into()));
    let internal = json!({"ports": [{"port": 80}]});
    let message = "it is of type ClusterIP, which is not reachable from outside; LoadBalancer is";
    assert_eq!(service(internal, json!([])), Err(message.into()));
}
