//! Tokens for registries that sell them: by name and password, by a refresh token, or to nobody in particular
//! (<https://distribution.github.io/distribution/spec/auth/token/> and its OAuth2 variant).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{Request, Response, StatusCode, header};
use serde::Deserialize;

use super::{
    credentials::Login,
    words::{asking, said},
};
use crate::{
    error::{Error, Result},
    transport::Transport,
    ui::Secret,
};

/// How we call ourselves.
const CLIENT: &str = "slipway";

/// Which token.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scope: &'a str,
}

/// It holds a credential and is never printed.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// `Basic …`, RFC 7617.
pub(super) fn basic(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.reveal()))))
}

/// `Bearer …`, or the answer of a token server that refuses.
///
/// # Errors
/// The server does not answer, or not with a token.
pub(super) async fn buy(
    transport: &Transport,
    wanted: &Wanted<'_>,
    login: &Login,
) -> Result<Result<Secret, Response<Bytes>>> {
    let failed = || Error::failed(format!("get a token from {}", wanted.realm));
    let response = match login {
        Login::Identity(refresh) => {
            let form = query(wanted)
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", CLIENT)
                .append_pair("refresh_token", refresh.reveal())
                .finish();
            let request = || {
                let request = Request::post(wanted.realm);
                let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                request.body(Bytes::from(form.clone()))
            };
            transport.send(&asking(wanted.realm), request).await?
        }
        Login::Basic { .. } | Login::Anonymous => {
            let separator = if wanted.realm.contains('?') { '&' } else { '?' };
            let url = format!("{}{separator}{}", wanted.realm, query(wanted).finish());
            let request = || {
                let request = Request::get(&url);
                let request = match login {
                    Login::Basic { username, password } => {
                        request.header(header::AUTHORIZATION, basic(username, password).reveal())
                    }
                    _ => request,
                };
                request.body(Bytes::new())
            };
            transport.send(&asking(wanted.realm), request).await?
        }
    };
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(Err(response)),
        _ => return Err(failed().cause(said(&response))),
    }
    // Never with the parser's words: they may quote what was read.
    let answer: Option<Answer> = serde_json::from_slice(response.body()).ok();
    let token = answer.map(|answer| if answer.token.is_empty() { answer.access_token } else { answer.token });
    match token.filter(|token| !token.is_empty()) {
        Some(token) => Ok(Ok(Secret::new(format!("Bearer {token}")))),
        None => Err(failed().cause("its answer has no token")),
    }
}

fn query(wanted: &Wanted<'_>) -> Serializer<'static, String> {
    let mut query = Serializer::new(String::new());
    if let Some(service) = wanted.service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", wanted.scope);
    query
}
