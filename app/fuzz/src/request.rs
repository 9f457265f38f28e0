//! Any request, to a service that has everything that needs nobody else: it is answered, and refused by a problem.
#![no_main]

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use app::{State, config::Config};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, header},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

#[derive(Debug, Arbitrary)]
enum Route {
    Users,
    User,
    Listed,
    Text,
    Batch,
    Mirror,
    Else,
}

#[derive(Debug, Arbitrary)]
enum Header {
    Accept,
    ContentType,
    Expect,
    ForwardedFor,
    IfMatch,
    IfNoneMatch,
    RequestId,
    Traceparent,
    Tracestate,
}

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    method: u8,
    route: Route,
    rest: &'a str,
    json: bool,
    headers: Vec<(Header, &'a [u8])>,
    body: &'a [u8],
}

impl Route {
    fn path(&self) -> &'static str {
        match self {
            Self::Users => "/v1/users",
            Self::User => "/v1/users/",
            Self::Listed => "/v1/users?cursor=",
            Self::Text => "/v1",
            Self::Batch => "/v1/batch",
            Self::Mirror => "/api/mirror?word=",
            Self::Else => "/",
        }
    }
}

impl Header {
    fn name(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::ContentType => "content-type",
            Self::Expect => "expect",
            Self::ForwardedFor => "x-forwarded-for",
            Self::IfMatch => "if-match",
            Self::IfNoneMatch => "if-none-match",
            Self::RequestId => "x-request-id",
            Self::Traceparent => "traceparent",
            Self::Tracestate => "tracestate",
        }
    }
}

static SERVICE: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let file = std::env::temp_dir().join(format!("app-fuzz-{}.db", std::process::id()));
    let router = runtime.block_on(async {
        let config = Config::parse(|name| match name {
            "DATABASE_FILE" => file.to_str().map(str::to_owned),
            "DATABASE_MIGRATE" => Some("true".to_owned()),
            "RATE_LIMIT" => Some("1000000/s".to_owned()),
            "TRUSTED_PROXIES" => Some("127.0.0.0/8".to_owned()),
            _ => None,
        });
        let state = State::new(config.expect("these settings are good"));
        let database = state.database.as_ref().expect("there is one");
        database.prepare(&state.config.database).await.expect("it is prepared");
        app::app(Arc::new(state))
    });
    // Its connections stay open.
    let _ = std::fs::remove_file(&file);
    (runtime, router)
});

fn request(input: &Input<'_>) -> Option<Request<Body>> {
    let method = ["GET", "POST", "PATCH", "DELETE", "HEAD"][usize::from(input.method) % 5];
    let mut request = Request::builder().method(method).uri(format!("{}{}", input.route.path(), input.rest));
    if input.json {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (header, value) in &input.headers {
        request = request.header(header.name(), HeaderValue::from_bytes(value).ok()?);
    }
    let client = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
    request.extension(client).body(Body::from(input.body.to_vec())).ok()
}

fuzz_target!(|input: Input<'_>| {
    let Some(request) = request(&input) else { return };
    let (runtime, router) = &*SERVICE;
    let response = runtime.block_on(router.clone().oneshot(request)).expect("it is answered");
    let status = response.status();
    assert_ne!(status.as_u16(), 500, "{input:?}");
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
});
