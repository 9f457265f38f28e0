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

use k8s_openapi::api::core::v1::{Pod, Service};

use super::*;
use crate::config::{Address, Environment};

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
    let mut environment = Environment::example("local", PathBuf::new());
    environment.services[0].verify = verify;
    environment
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
    let environment = environment(vec![check]);
    let route = Route::parse(url).expect("it is a URL");
    let given = async || {
        let mut known = Known::default();
        known.add_value("given-to-the-pods");
        known
    };
    through(&route, environment.unit(None)?, given, &Step::silent()).await
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
async fn an_answer_does_not_give_away_what_was_sent_or_what_pods_know() {
    let long = "x".repeat(480);
    let body: &'static str =
        format!("{long} of-the-header given-to-the-pods {{\"token\":\"of-somebody\"}} {long}").leak();
    let (url, _) = server(Box::leak(Box::new([(200, body)]))).await;
    let check = check_of(|check| {
        check.headers.insert("Authorization".into(), "Bearer of-the-header".into());
        check.headers.insert("x-trace".into(), "given-to-the-pods".into());
        check.path = "/v1?token=of-the-path".into();
        check.body = Some(r#"{"password":"of-the-body"}"#.into());
    });
    let error = run(&url, check).await.expect_err("it is no JSON");
    let said = format!("{error:?}");
    for secret in ["of-the", "given-to", "of-somebody"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    assert!(error.causes[2].contains("characters more"), "{said}");
    assert_eq!(said.matches("(hidden)").count(), 8, "{said}");
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
    let answer = |body: &'static str| Answer { status: 200, headers: Vec::new(), body: body.into() };
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
    let long = Answer { status: 200, headers: Vec::new(), body: "x".repeat(600).into() };
    assert!(
        long.shown(&Known::default()).ends_with("\n  ... and 100 characters more"),
        "{}",
        long.shown(&Known::default())
    );
}

#[test]
fn the_address_is_the_load_balancers() {
    let service = |spec: Value, ingress: Value| {
        let service = json!({"spec": spec, "status": {"loadBalancer": {"ingress": ingress}}});
        let service: Service = serde_json::from_value(service).expect("a Service");
        let port = address::port(&service, None).expect("it has one");
        address::load_balancer(&service, port)
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

#[test]
fn an_ingress_is_asked_for_the_host_of_its_rule_at_its_own_address() {
    let ingress = |host: Value, tls: Value, published: Value| {
        let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "app"}}});
        serde_json::from_value(json!({"metadata": {"name": "edge"}, "spec": {"tls": tls,
            "rules": [{"host": "other.example", "http": {"paths": []}}, {"host": host, "http": {"paths": [path]}}]},
            "status": {"loadBalancer": {"ingress": published}}}))
        .expect("an Ingress")
    };
    let find = |ingress, host: Option<&str>| {
        let address = Address { host: host.map(str::to_owned), ..Address::default() };
        address::ingress(&[ingress], "app", &address).map(|route| format!("{route:?}"))
    };
    let at = json!([{"ip": "192.0.2.1"}]);
    let host = json!("app.example");
    let found = find(ingress(host.clone(), Value::Null, at.clone()), None);
    assert_eq!(found.as_deref(), Ok("http://app.example by way of Some(\"192.0.2.1\")"));
    let tls = json!([{"hosts": ["*.example"]}]);
    let found = find(ingress(host.clone(), tls, at.clone()), None);
    assert_eq!(found.as_deref(), Ok("https://app.example by way of Some(\"192.0.2.1\")"));
    let ported = json!([{"ip": "127.0.0.1", "ports": [{"port": 8081, "protocol": "TCP"}]}]);
    let found = find(ingress(Value::Null, Value::Null, ported), None);
    assert_eq!(found.as_deref(), Ok("http://127.0.0.1:8081 by way of Some(\"127.0.0.1\")"));
    let any = || ingress(json!("*.example"), Value::Null, at.clone());
    assert_eq!(find(any(), Some("a.example")).as_deref(), Ok("http://a.example by way of Some(\"192.0.2.1\")"));
    let which = "Ingress edge is for any host of a domain: which one? set address.host";
    assert_eq!(find(any(), None), Err(which.to_owned()));
    assert_eq!(find(any(), Some("a.test")), Err("no Ingress leads to it by a.test".to_owned()));
    let early = find(ingress(host, Value::Null, Value::Null), None);
    assert_eq!(early, Err("Ingress edge has no address yet".to_owned()));
}

#[test]
fn a_port_is_found_by_name_and_number_down_to_the_pod() {
    let service: Service = serde_json::from_value(json!({"spec": {"ports": [
        {"port": 9090, "name": "metrics"}, {"port": 80, "name": "web", "targetPort": "serve"}]}}))
    .expect("a Service");
    let of = |wanted| address::port(&service, wanted).map(|port| port.port);
    let found = (of(None), of(Some("web")), of(Some("80")), of(Some("admin")));
    assert_eq!(found, (Ok(9090), Ok(80), Ok(80), Err("it has no port admin".to_owned())));
    let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [
        {"name": "app", "ports": [{"name": "serve", "containerPort": 8080}]}]}}))
    .expect("a Pod");
    let number = |port: Value| address::container_port(&pod, &serde_json::from_value(port).expect("a port"));
    assert_eq!((number(json!("serve")), number(json!(7)), number(json!("none"))), (Some(8080), Some(7), None));
}

#[tokio::test]
async fn a_redirect_is_shown_and_not_followed() {
    let (url, count) = server(&[(302, "elsewhere")]).await;
    let error = run(&url, check_of(|check| check.timeout = Duration::from_secs(60))).await.expect_err("it is wrong");
    assert_eq!(error.causes[2], "answer: status 302 (redirects are not followed)\n  elsewhere");
    assert_eq!(count.load(Ordering::SeqCst), BELIEVED);
}
