//! AWS as a role sees it: a proxy on loopback in front of an emulator, which itself allows everything. It finds the IAM
//! action and the resource of each signed request, and refuses what a policy does not allow, in AWS's words.
//!
//! It knows the services that a deploy to a cluster that stands speaks to; what it does not know it refuses. A registry's
//! requests are those of ECR's actions, as AWS has it, and it can ask for the login that the emulator's does not ask for.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{self, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::emulator::Emulator;

/// The proxy; gone at the end of the test.
pub(crate) struct Gate {
    address: SocketAddr,
    inside: Arc<Inside>,
    _runtime: Runtime,
}

struct Inside {
    emulator: String,
    account: &'static str,
    client: Client<HttpConnector, Full<Bytes>>,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    /// None: everything is allowed.
    policy: Option<Value>,
    /// Whether the registry wants to know who asks.
    login: bool,
    asked: BTreeSet<String>,
}

/// An action on a resource.
#[derive(Debug, PartialEq, Eq)]
struct Act {
    action: String,
    resource: String,
}

impl Gate {
    /// One that allows everything until it is told otherwise.
    pub(crate) fn before(emulator: &Emulator) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("start a runtime");
        let client = runtime.block_on(async { Client::builder(TokioExecutor::new()).build_http() });
        let (emulator, account) = (emulator.host(), emulator.account);
        let inside = Arc::new(Inside { emulator, account, client, rules: Mutex::default() });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let router = Router::new().fallback(pass).with_state(Arc::clone(&inside));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, inside, _runtime: runtime }
    }

    /// The section `aws` of an environment behind it.
    pub(crate) fn section(&self) -> String {
        let Self { address, inside, .. } = self;
        format!("aws: {{account: '{}', region: us-east-2, endpoint_url: 'http://{address}'}}\n", inside.account)
    }

    /// From now on only what the policy allows is let through; returned is what was asked for until now.
    pub(crate) fn allow(&self, policy: Option<Value>) -> BTreeSet<String> {
        let mut rules = self.inside.rules();
        rules.policy = policy;
        std::mem::take(&mut rules.asked)
    }

    /// From now on the registry asks for a login, or does not: the local environment's node has none, others have a role.
    pub(crate) fn ask_for_login(&self, login: bool) {
        self.inside.rules().login = login;
    }
}

impl Inside {
    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let open = !parts.uri.path().starts_with("/v2/") || parts.headers.contains_key(header::AUTHORIZATION);
    if !open && inside.rules().login {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"ECR\"")]).into_response();
    }
    let body = to_bytes(body, usize::MAX).await.expect("read the request");
    for act in acts(&parts, &body, inside.account) {
        let mut rules = inside.rules();
        rules.asked.insert(act.action.clone());
        if rules.policy.as_ref().is_some_and(|policy| !allows(policy, &act)) {
            return refuse(&parts, &act, inside.account);
        }
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("http://{}{path}", inside.emulator).parse().expect("a URI");
    let mut forwarded = http::Request::new(Full::new(body));
    *forwarded.method_mut() = parts.method;
    *forwarded.uri_mut() = uri;
    *forwarded.headers_mut() = parts.headers;
    // The body is whole now.
    forwarded.headers_mut().remove(header::TRANSFER_ENCODING);
    match inside.client.request(forwarded).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// What a request does. AWS asks for an action more where a request has tags, and for each parameter.
fn acts(parts: &Parts, body: &Bytes, account: &str) -> Vec<Act> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let act = |action: &str, resource: String| Act { action: action.to_owned(), resource };
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:us-east-2:{account}:{rest}");
    let path = parts.uri.path();
    if let Some(rest) = path.strip_prefix("/v2/") {
        let registry = (!header("authorization").is_empty()).then(|| of_registry(&parts.method, rest)).flatten();
        return registry
            .map(|(name, action)| act(action, arn("ecr", &format!("repository/{name}"))))
            .into_iter()
            .collect();
    }
    // `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …`
    let service = header("authorization").split('/').nth(3).unwrap_or_default();
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let operation = header("x-amz-target").rsplit('.').next().unwrap_or_default();
    let action = format!("{service}:{operation}");
    let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
    match (service, operation) {
        // Nobody can be kept from asking who they are.
        ("sts", _) => Vec::new(),
        ("ecr", "GetAuthorizationToken") | ("ssm", "DescribeParameters") => vec![act(&action, "*".to_owned())],
        ("ecr", _) => {
            let name = json["repositoryNames"][0].as_str().map_or_else(|| text("repositoryName"), str::to_owned);
            let repository = arn("ecr", &format!("repository/{name}"));
            let tags = json["tags"].as_array().is_some_and(|tags| !tags.is_empty());
            let tagging = tags.then(|| act("ecr:TagResource", repository.clone()));
            std::iter::once(act(&action, repository)).chain(tagging).collect()
        }
        ("secretsmanager", _) => {
            vec![act(&action, arn("secretsmanager", &format!("secret:{}-a1B2c3", text("SecretId"))))]
        }
        ("ssm", _) => {
            let names = json["Names"].as_array().cloned().unwrap_or_default();
            let name =
                |name: &Value| name.as_str().and_then(|name| name.split(':').next()).unwrap_or_default().to_owned();
            names.iter().map(|one| act(&action, arn("ssm", &format!("parameter{}", name(one))))).collect()
        }
        ("s3", _) => {
            let resource = format!("arn:aws:s3:::{}", path.trim_matches('/'));
            let of_object = path.trim_matches('/').contains('/');
            let action = match (parts.method.as_str(), of_object) {
                ("GET" | "HEAD", true) => "s3:GetObject",
                ("PUT", true) => "s3:PutObject",
                ("DELETE", true) => "s3:DeleteObject",
                ("GET" | "HEAD", false) => "s3:ListBucket",
                _ => "s3:CreateBucket",
            };
            vec![act(action, resource)]
        }
        _ => vec![act(&format!("{service}:{} {path}", parts.method), "*".to_owned())],
    }
}

/// The repository, and ECR's action for a request of the registry's API.
fn of_registry(method: &Method, path: &str) -> Option<(String, &'static str)> {
    let at = |part: &str| path.find(part).map(|at| path[..at].to_owned());
    let write = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if let Some(name) = at("/blobs/uploads/") {
        return Some((
            name,
            match method.as_str() {
                "POST" => "ecr:InitiateLayerUpload",
                "PATCH" | "GET" => "ecr:UploadLayerPart",
                _ => "ecr:CompleteLayerUpload",
            },
        ));
    }
    let of_blobs =
        if method == Method::HEAD { "ecr:BatchCheckLayerAvailability" } else { "ecr:GetDownloadUrlForLayer" };
    let of_manifests = if write { "ecr:PutImage" } else { "ecr:BatchGetImage" };
    at("/blobs/").map(|name| (name, of_blobs)).or_else(|| at("/manifests/").map(|name| (name, of_manifests)))
}

/// Whether a statement allows it. Policies of ours have neither denials nor conditions.
fn allows(policy: &Value, act: &Act) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&policy["Statement"]).iter().any(|statement| {
        assert_eq!(statement["Effect"], "Allow");
        let resources = list(&statement["Resource"]);
        let fits = |pattern: &Value| matches(pattern.as_str().unwrap_or_default().as_bytes(), act.resource.as_bytes());
        list(&statement["Action"]).contains(&json!(act.action)) && resources.iter().any(fits)
    })
}

/// `*` stands for any characters, `?` for one
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>).
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([one, pattern @ ..], [other, text @ ..]) => one == other && matches(pattern, text),
        _ => false,
    }
}

fn refuse(parts: &Parts, act: &Act, account: &str) -> Response {
    let Act { action, resource } = act;
    let message = format!(
        "User: arn:aws:sts::{account}:assumed-role/slipway-deploy/test is not authorized to perform: {action} on resource: \
         {resource} because no identity-based policy allows the {action} action"
    );
    if parts.uri.path().starts_with("/v2/") {
        let body = json!({"errors": [{"code": "DENIED", "message": message}]});
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    }
    if action.starts_with("s3:") {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        );
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/xml")], body).into_response();
    }
    let body = json!({"__type": "AccessDeniedException", "message": message});
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (StatusCode::BAD_REQUEST, kind, body.to_string()).into_response()
}

#[test]
fn patterns_are_those_of_policies() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a/*", "a/b/c", true),
        ("a/*", "b/a/", false),
        ("secret:x-??????", "secret:x-a1B2c3", true),
        ("secret:x-??????", "secret:x-y-a1B2c3", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
    }
}
