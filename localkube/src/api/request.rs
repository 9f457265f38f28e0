//! What a request is about: the path's resource, namespace, name and subresource, the query and the body.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{
    Server, User, authorize, definitions, delete, discovery, impersonate, manager, read, respond, review, scale,
    subresource, token, watch, write,
};
use crate::{resource::Resource, status::Status, store::Key, stream::Upgrade};

/// What the API server accepts at most in one body.
const BODY_BYTES: usize = 3 << 20;

/// A request about objects.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) method: Method,
    pub(super) resource: Arc<Resource>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// The path says `/watch/`.
    pub(super) watch: bool,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) user: User,
    /// The connection, where it can be taken over.
    pub(super) upgrade: Option<Upgrade>,
}

/// The query's parameters in their order.
#[derive(Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    fn parse(uri: &http::Uri) -> Self {
        let parameters = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Self(parameters.map(|query| query.0).unwrap_or_default())
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is there and true as Go's conversion has it: anything but `false` and `0` is.
    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_ascii_lowercase());
        value.is_some_and(|value| value != "false" && value != "0")
    }
}

impl Call {
    /// The same request for a task of its own, without the body.
    pub(super) fn detached(&self) -> Self {
        Self {
            server: Arc::clone(&self.server),
            method: self.method.clone(),
            resource: Arc::clone(&self.resource),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            subresource: self.subresource.clone(),
            watch: self.watch,
            query: Query(self.query.0.clone()),
            headers: self.headers.clone(),
            body: Bytes::new(),
            user: self.user.clone(),
            upgrade: None,
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key_of(self.name.as_deref().unwrap_or_default())
    }

    pub(super) fn key_of(&self, name: &str) -> Key {
        Key {
            resource: self.resource.storage.clone(),
            namespace: self.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Who the fields that this request writes belong to.
    pub(super) fn manager(&self) -> String {
        let agent = || manager::from_user_agent(self.header(header::USER_AGENT));
        self.query.get("fieldManager").map_or_else(agent, str::to_owned)
    }
}

/// What a path leads to.
enum Route {
    Object(Box<Place>),
    /// The group and version are served, the rest is not.
    NoResource,
    NoPath,
}

struct Place {
    resource: Arc<Resource>,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
    watch: bool,
}

/// Answers a request.
pub(super) async fn serve(server: Arc<Server>, request: http::Request<Body>) -> Response {
    let (mut parts, body) = request.into_parts();
    let query = Query::parse(&parts.uri);
    let path = parts.uri.path().to_owned();
    // Requests of this process itself carry no user.
    let mut user = parts.extensions.remove::<User>();
    if let Some(user) = &mut user {
        let checked = impersonate::read(&server, user, &parts.headers).and_then(|other| {
            *user = other.unwrap_or_else(|| user.clone());
            authorize::check(&server, user, &parts.method, &path, &query)
        });
        if let Err(status) = checked {
            return respond::failure(&status);
        }
    }
    if let Some(response) =
        token::serve(&server, &path, parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()))
    {
        return response;
    }
    if let Some(response) = discovery::serve(&server, &parts.method, &path, &parts.headers) {
        return response;
    }
    let place = match route(&server, &path) {
        Route::Object(place) => *place,
        Route::NoResource => return respond::failure(&not_served()),
        Route::NoPath => return respond::no_path(),
    };
    let body = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return respond::failure(&too_large()),
        Err(error) => return respond::failure(&Status::bad_request(error.to_string())),
    };
    let call = Call {
        server,
        method: parts.method,
        resource: place.resource,
        namespace: place.namespace,
        name: place.name,
        subresource: place.subresource,
        watch: place.watch,
        query,
        headers: parts.headers,
        body,
        user: user.unwrap_or_else(User::admin),
        upgrade: parts.extensions.remove::<Upgrade>(),
    };
    let deprecation = deprecation(&call.resource);
    let concerned = definitions::concern(&call).then(|| Arc::clone(&call.server));
    let mut response = dispatch(call).await.unwrap_or_else(|status| respond::failure(&status));
    if let Some(server) = concerned {
        // Boxed because it makes requests, too.
        Box::pin(definitions::settle(&server)).await;
    }
    if let Some(deprecation) = deprecation {
        respond::warn(&mut response, &deprecation);
    }
    response
}

/// What every request about a deprecated resource is answered with besides.
fn deprecation(resource: &Resource) -> Option<String> {
    if let Some(custom) = &resource.custom {
        return custom.deprecation.clone();
    }
    let endpoints = resource.group.is_empty() && resource.plural == "endpoints";
    endpoints.then(|| "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned())
}

async fn dispatch(call: Call) -> Result<Response, Status> {
    let verb = verb(&call).ok_or_else(Status::method_not_allowed)?;
    if let Some(subresource) = call.subresource.as_deref() {
        let known = call.resource.subresource(subresource).ok_or_else(not_served)?;
        if !known.verbs.contains(&verb) {
            return Err(Status::method_not_allowed());
        }
        return match subresource {
            "status" if verb == "get" => read::get(&call),
            "status" | "ephemeralcontainers" | "resize" | "approval" => write::change(&call, verb).await,
            "scale" => scale::serve(&call, verb).await,
            _ => subresource::serve(call, verb).await,
        };
    }
    if !call.resource.verbs.contains(&verb) {
        return Err(Status::method_not_allowed());
    }
    if !call.resource.stored() && verb == "create" {
        return review::create(&call);
    }
    match verb {
        "get" => read::get(&call),
        "list" => read::list(&call),
        "watch" => watch::serve(&call),
        "create" => write::create(&call).await,
        "update" | "patch" => write::change(&call, verb).await,
        "delete" => delete::delete(&call).await,
        _ => delete::collection(&call).await,
    }
}

/// The request's verb in the words of discovery.
fn verb(call: &Call) -> Option<&'static str> {
    let everywhere = call.resource.namespaced && call.namespace.is_none();
    let on_object = call.name.is_some();
    Some(match call.method {
        Method::GET | Method::HEAD if call.watch => "watch",
        Method::GET | Method::HEAD if on_object => "get",
        Method::GET | Method::HEAD if call.query.flag("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        _ if call.watch || everywhere => return None,
        Method::POST if !on_object || call.subresource.is_some() => "create",
        Method::PUT if on_object => "update",
        Method::PATCH if on_object => "patch",
        Method::DELETE if on_object => "delete",
        Method::DELETE => "deletecollection",
        _ => return None,
    })
}

fn route(server: &Server, path: &str) -> Route {
    let decode = |part: &str| percent_decode(part);
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Route::NoPath,
    };
    let resources = server.resources();
    let group_known = resources.iter().any(|resource| resource.group == group);
    if !group_known {
        return Route::NoPath;
    }
    let (watch, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => {
            (Some(*namespace), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] if !name.is_empty() => (*plural, Some(*name), None),
        [plural, name, subresource, ..] if !name.is_empty() => (*plural, Some(*name), Some(*subresource)),
        _ => return Route::NoResource,
    };
    let Some(resource) = server.resource(group, version, plural) else { return Route::NoResource };
    if namespace.is_some() != resource.namespaced && (namespace.is_some() || name.is_some()) {
        return Route::NoResource;
    }
    Route::Object(Box::new(Place {
        resource,
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
        watch,
    }))
}

fn percent_decode(part: &str) -> String {
    if !part.contains('%') {
        return part.to_owned();
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn not_served() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource").with_details(serde_json::json!({}))
}

fn too_large() -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {BODY_BYTES}"))
}
