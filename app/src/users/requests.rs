//! Users as they are asked for.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, State as Shared, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use uuid::Uuid;

use super::{
    User, Users, fields,
    fields::Complaints,
    shapes::{NewUser, Page, UserList, UserPatch},
    store::{self, Change, Changed},
};
use crate::{
    State,
    auth::Principal,
    body,
    config::Secret,
    media::{self, Form},
    problem::Problem,
};

const PAGE_LIMIT: u16 = 100;

/// `POST /v1/users`.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "users",
    summary = "Add a user",
    request_body = NewUser,
    responses(
        (status = 201, description = "It is added.", body = User, headers(
            ("location" = String, description = "Where it is."),
            ("etag" = String, description = "Its version."),
        )),
        (status = 409, description = "Another user has the address."),
    ),
)]
pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    who.require_admin()?;
    let users = users(&state)?;
    media::given(&headers, &[Form::Json])?;
    let bytes = state.bodies.read(&headers, body).await?;
    let given: NewUser = body::json(&bytes, "{\"email\": string, \"name\": string, \"password\": string}")?;
    let mut wrong = Complaints::default();
    let email = wrong.take("email", fields::email(&given.email));
    let name = wrong.take("name", fields::name(&given.name));
    let password = wrong.take("password", fields::password(given.password));
    let (Some(email), Some(name), Some(password)) = (email, name, password) else {
        return Err(refuse(wrong.list()));
    };
    let hash = hash(users, Secret::new(password), &email, &name).await?;
    let user = User::new(email, name, given.admin);
    let work = async { store::insert(&mut *users.database.pool().acquire().await?, &user, &hash).await };
    if !users.database.run("adding a user", work).await? {
        return Err(taken());
    }
    let location = [(header::LOCATION, format!("/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, shown(&user)).into_response())
}

/// `GET /v1/users`.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "users",
    summary = "List the users",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = UserList,
            headers(("link" = String, description = "The next page, as `rel=\"next\"`."))),
        (status = 400, description = "A parameter is not as it must be."),
    ),
)]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    who.require_admin()?;
    let users = users(&state)?;
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Query(page) = page.map_err(|rejection| bad(&rejection.body_text()))?;
    let limit = page.limit.unwrap_or(20);
    if !(1..=PAGE_LIMIT).contains(&limit) {
        return Err(bad(&format!("limit is from 1 to {PAGE_LIMIT}")));
    }
    let after = match &page.cursor {
        None => Uuid::nil(),
        Some(cursor) => cursor_id(cursor).ok_or_else(|| bad("cursor is not one that was given"))?,
    };
    // One more than asked for tells whether there is a page after this one.
    let work = async { store::list(&mut *users.database.pool().acquire().await?, after, i64::from(limit) + 1).await };
    let mut found = users.database.run("listing users", work).await?;
    let more = found.len() > usize::from(limit);
    found.truncate(limit.into());
    let next = found.last().filter(|_| more).map(|user| BASE64_URL_SAFE_NO_PAD.encode(user.id.as_bytes()));
    let mut response = Json(UserList { users: found, next: next.clone() }).into_response();
    if let Some(next) = next {
        let link = format!("</v1/users?limit={limit}&cursor={next}>; rel=\"next\"");
        response.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
    }
    uncached(&mut response);
    Ok(response)
}

/// `GET /v1/users/{id}`.
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "users",
    summary = "Read a user",
    params(
        ("id" = String, Path, format = "uuid", description = "Which one."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of what is known.", nullable = false),
    ),
    responses(
        (status = 200, description = "The user.", body = User,
            headers(("etag" = String, description = "Its version."))),
        (status = 304, description = "It is as known."),
        (status = 404, description = "There is no such user."),
    ),
)]
pub(super) async fn read(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = identify(&id)?;
    who.require_self_or_admin(id)?;
    let users = users(&state)?;
    let work = async { store::get(&mut *users.database.pool().acquire().await?, id).await };
    let user = users.database.run("reading a user", work).await?.ok_or_else(missing)?;
    // RFC 9110 section 13.1.2: compared weakly.
    let tag = tag(user.version);
    let known =
        tags(&headers, &header::IF_NONE_MATCH).any(|given| given == "*" || given.trim_start_matches("W/") == tag);
    if known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(shown(&user))
}

/// `PATCH /v1/users/{id}`, with what is to change (RFC 7396) and the `If-Match` of what was seen.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "users",
    summary = "Change a user",
    params(
        ("id" = String, Path, format = "uuid", description = "Which one."),
        ("if-match" = String, Header, description = "The `ETag` of what is changed.", example = json!("\"1\"")),
    ),
    request_body = UserPatch,
    responses(
        (status = 200, description = "The user as it is now.", body = User,
            headers(("etag" = String, description = "Its version."))),
        (status = 404, description = "There is no such user."),
        (status = 409, description = "Another user has the address."),
        (status = 412, description = "It has changed since."),
        (status = 428, description = "`If-Match` is missing."),
    ),
)]
pub(super) async fn update(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = identify(&id)?;
    who.require_self_or_admin(id)?;
    let users = users(&state)?;
    if !headers.contains_key(header::IF_MATCH) {
        // RFC 6585 section 3: without it the change of somebody else could be lost.
        let detail = "a change needs If-Match with the ETag of what is changed";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
    }
    media::given(&headers, &[Form::Json])?;
    let bytes = state.bodies.read(&headers, body).await?;
    let given: UserPatch = body::json(&bytes, "{\"email\"?, \"name\"?, \"password\"?: string}")?;
    if given.admin.is_some() {
        who.require_admin()?;
    }
    let mut wrong = Complaints::default();
    let email = given.email.and_then(|email| wrong.take("email", fields::email(&email)));
    let name = given.name.and_then(|name| wrong.take("name", fields::name(&name)));
    let password = given.password.and_then(|password| wrong.take("password", fields::password(password)));
    if !wrong.is_empty() {
        return Err(refuse(wrong.list()));
    }
    let seen = seen(users, id, &headers).await?;
    let password = match password {
        None => None,
        Some(password) => {
            let (email, name) = (email.as_ref().unwrap_or(&seen.email), name.as_ref().unwrap_or(&seen.name));
            Some(hash(users, Secret::new(password), email, name).await?)
        }
    };
    let change = Change { email, name, admin: given.admin, password };
    let work = async {
        let mut transaction = users.database.pool().begin().await?;
        let changed = store::update(&mut transaction, id, seen.version, &change).await?;
        transaction.commit().await?;
        Ok(changed)
    };
    match users.database.run("changing a user", work).await? {
        Changed::To(user) => Ok(shown(&user)),
        Changed::Stale => Err(stale()),
        Changed::Taken => Err(taken()),
    }
}

/// `DELETE /v1/users/{id}`, with an `If-Match` if it must be what was seen.
#[utoipa::path(
    delete,
    path = "/v1/users/{id}",
    tag = "users",
    summary = "Remove a user",
    params(
        ("id" = String, Path, format = "uuid", description = "Which one."),
        ("if-match" = Option<String>, Header, description = "The `ETag` of what is removed.", nullable = false),
    ),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such user."),
        (status = 412, description = "It has changed since."),
    ),
)]
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = identify(&id)?;
    who.require_self_or_admin(id)?;
    let users = users(&state)?;
    let seen = seen(users, id, &headers).await?;
    let work = async { store::delete(&mut *users.database.pool().acquire().await?, id, seen.version).await };
    if users.database.run("deleting a user", work).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(stale())
    }
}

/// The user as it is now, if that is what the client has seen. What is done with it holds for this version only.
async fn seen(users: &Users, id: Uuid, headers: &HeaderMap) -> Result<User, Problem> {
    let work = async { store::get(&mut *users.database.pool().acquire().await?, id).await };
    let user = users.database.run("reading a user", work).await?.ok_or_else(missing)?;
    // RFC 9110 section 13.1.1: compared strongly, so that a weak tag is never the one.
    let tag = tag(user.version);
    let as_seen = !headers.contains_key(header::IF_MATCH)
        || tags(headers, &header::IF_MATCH).any(|given| given == "*" || given == tag);
    if as_seen { Ok(user) } else { Err(stale()) }
}

async fn hash(users: &Users, password: Secret, email: &str, name: &str) -> Result<Secret, Problem> {
    let hash = users.passwords.hash(password, email.to_owned(), name.to_owned()).await?;
    hash.map_err(|reason| {
        let mut wrong = Complaints::default();
        wrong.take::<()>("password", Err(reason));
        refuse(wrong.list())
    })
}

fn users(state: &State) -> Result<&Users, Problem> {
    state.users.as_ref().ok_or_else(missing)
}

/// What no user is called is not found, whatever it is.
fn identify(id: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(id).ok().filter(|uuid| uuid.to_string() == id).ok_or_else(missing)
}

fn cursor_id(cursor: &str) -> Option<Uuid> {
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn shown(user: &User) -> Response {
    let mut response = ([(header::ETAG, tag(user.version))], Json(user)).into_response();
    uncached(&mut response);
    response
}

/// Nobody else's cache may keep who is here; one's own has to ask.
fn uncached(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn refuse(complaints: Value) -> Problem {
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "some fields are not as they must be");
    problem.member("errors", complaints)
}

fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such user")
}

fn taken() -> Problem {
    Problem::new(StatusCode::CONFLICT, "another user has this e-mail address")
}

fn stale() -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "it has changed since: read it again")
}
