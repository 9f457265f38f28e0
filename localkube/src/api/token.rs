//! Tokens: issued to service accounts (TokenRequest), recognised in requests, and explained to others (OpenID Connect
//! discovery, as RFC 8414 has it).

use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Server, User, meta, negotiate::action, options, read, request::Call, respond};
use crate::{
    access::{AUDIENCE, Bound, Claims, ISSUER, Reference},
    status::{FieldError, FieldErrorKind, Status},
    store::Key,
};

/// The shortest life of a token, in seconds.
const SHORTEST: i64 = 600;
/// The life of one that does not ask for another.
const USUAL: i64 = 3600;
/// What the mounted token asks for, which gets a year: clients that never read it anew would fail otherwise.
const MOUNTED: i64 = 3607;
const YEAR: i64 = 365 * 24 * 3600;

/// Answers the paths that explain the tokens; none for others.
pub(super) fn serve(server: &Server, path: &str, host: Option<&str>) -> Option<Response> {
    match path.trim_end_matches('/') {
        "/.well-known/openid-configuration" => {
            let host = host.unwrap_or("127.0.0.1");
            let body = json!({
                "issuer": ISSUER,
                "jwks_uri": format!("https://{host}/openid/v1/jwks"),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            });
            Some(respond::json(200, body.to_string()))
        }
        "/openid/v1/jwks" => {
            let mut response = respond::json(200, server.options.signer.key_set().to_string());
            let media_type = http::HeaderValue::from_static("application/jwk-set+json");
            response.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
            Some(response)
        }
        _ => None,
    }
}

/// POST of `serviceaccounts/NAME/token`.
pub(super) fn create(call: &Call) -> Result<Response, Status> {
    let dry_run = options::dry_run(&call.query, "CreateOptions")?;
    let account = read::found(call)?.value();
    let asked = action(call, "authentication.k8s.io/v1", "TokenRequest")?;
    let seconds = asked["spec"]["expirationSeconds"].as_i64().unwrap_or(USUAL);
    let audiences: Vec<String> = match asked["spec"]["audiences"].as_array() {
        Some(named) if !named.is_empty() => named.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => vec![AUDIENCE.to_owned()],
    };
    if !(SHORTEST..=1 << 32).contains(&seconds) {
        let limit = if seconds < SHORTEST { "less than 10 minutes" } else { "larger than 2^32 seconds" };
        let message = format!("Invalid value: {seconds}: may not specify a duration {limit}");
        let error = FieldError { path: "spec.expirationSeconds".into(), kind: FieldErrorKind::Invalid, message };
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &[error]));
    }
    let (name, namespace) = (call.name.clone().unwrap_or_default(), call.namespace.clone().unwrap_or_default());
    let uid = account["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let serviceaccount = Reference { name: name.clone(), uid: Some(uid.clone()) };
    let mut bound = Bound { namespace: namespace.clone(), node: None, pod: None, secret: None, serviceaccount };
    bind(call, &asked["spec"]["boundObjectRef"], &mut bound)?;
    let now = Timestamp::now();
    let extended = seconds == MOUNTED && audiences == [AUDIENCE] && bound.pod.is_some();
    let claims = Claims {
        aud: audiences.clone(),
        exp: now.as_second() + if extended { YEAR } else { seconds },
        iat: now.as_second(),
        iss: ISSUER.to_owned(),
        jti: uuid::Uuid::new_v4().to_string(),
        bound,
        nbf: now.as_second(),
        sub: format!("system:serviceaccount:{namespace}:{name}"),
    };
    let token = if dry_run { Some(String::new()) } else { call.server.options.signer.sign(&claims) };
    let token = token.ok_or_else(|| Status::internal("the token cannot be signed"))?;
    let expires = Timestamp::from_second(claims.iat + seconds).unwrap_or(now);
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": meta::time(now)},
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": asked["spec"]["boundObjectRef"],
        },
        "status": {"token": token, "expirationTimestamp": meta::time(expires)},
    });
    respond::object(call, 201, answer, &[])
}

/// The object that the token is to live with.
fn bind(call: &Call, reference: &Value, bound: &mut Bound) -> Result<(), Status> {
    let Some(kind) = reference["kind"].as_str() else { return Ok(()) };
    let (plural, place) = match kind {
        "Pod" => ("pods", &mut bound.pod),
        "Secret" => ("secrets", &mut bound.secret),
        _ => return Err(Status::bad_request(format!("cannot bind token to object of type \"{kind}\""))),
    };
    let name = reference["name"].as_str().unwrap_or_default().to_owned();
    let key = Key { resource: plural.to_owned(), namespace: bound.namespace.clone(), name: name.clone() };
    let resource = call.server.resource("", "v1", plural);
    let resource = resource.ok_or_else(|| Status::internal(format!("{plural} are not served")))?;
    let object = call.server.store.get(&key).ok_or_else(|| Status::not_found(&resource, &name))?.value();
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    if let Some(asked) = reference["uid"].as_str().filter(|asked| !asked.is_empty() && *asked != uid) {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict(&resource, &name, &why));
    }
    let account = &bound.serviceaccount.name;
    if kind == "Pod" && object["spec"]["serviceAccountName"] != account.as_str() {
        let message = format!(
            "cannot bind token for serviceaccount \"{account}\" to pod running with different serviceaccount name."
        );
        return Err(Status::bad_request(message));
    }
    *place = Some(Reference { name, uid: Some(uid.to_owned()) });
    let node = object["spec"]["nodeName"].as_str().filter(|_| kind == "Pod");
    bound.node = node.map(|node| Reference { name: node.to_owned(), uid: None });
    Ok(())
}

/// Who a token says that somebody is, and for which of the audiences; none if it is worth nothing.
pub(super) fn recognise(server: &Server, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)> {
    if equal(token.as_bytes(), server.options.admin_token.as_bytes()) {
        return Some((User::admin(), audiences.to_vec()));
    }
    let claims = server.options.signer.verify(token, Timestamp::now().as_second())?;
    let meant: Vec<String> = audiences.iter().filter(|one| claims.aud.contains(one)).cloned().collect();
    if meant.is_empty() || !lives(server, &claims.bound) {
        return None;
    }
    Some((User::account(&claims), meant))
}

/// Whether the objects that a token lives with are still there.
fn lives(server: &Server, bound: &Bound) -> bool {
    let there = |resource: &str, reference: &Reference| {
        let (namespace, name) = (bound.namespace.clone(), reference.name.clone());
        let found = server.store.get(&Key { resource: resource.to_owned(), namespace, name });
        found.is_some_and(|found| {
            let uid = &found.value()["metadata"]["uid"];
            reference.uid.as_deref().is_none_or(|expected| *uid == expected)
        })
    };
    there("serviceaccounts", &bound.serviceaccount)
        && bound.pod.as_ref().is_none_or(|pod| there("pods", pod))
        && bound.secret.as_ref().is_none_or(|secret| there("secrets", secret))
}

/// In a time that does not depend on where the two differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}
