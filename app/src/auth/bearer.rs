//! Tokens of an OpenID Connect issuer (RFC 6750, RFC 7519).

use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;

use super::{Principal, challenged, credentials, keys::Keys};
use crate::{config, problem::Problem};

/// No issuer makes one this long, and every byte of it would be decoded.
const TOKEN_LIMIT: usize = 8 * 1024;

/// Verifies tokens.
#[derive(Debug)]
pub struct Bearer {
    config: config::Jwt,
    keys: Keys,
}

/// What a token says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Option<OneOrMore>,
    /// Cognito's access tokens name the app client here, and have no `aud`.
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default, rename = "cognito:groups")]
    cognito_groups: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Bearer {
    /// Knows no keys yet.
    pub(super) fn new(config: &config::Jwt) -> Self {
        Self { keys: Keys::new(config), config: config.clone() }
    }

    /// Whether it can tell good tokens from bad ones: once it has keys it keeps them.
    ///
    /// # Errors
    /// In words for whoever asks whether the service is ready.
    pub(super) async fn ready(&self) -> Result<(), String> {
        self.keys.any().await
    }

    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let Some(token) = credentials(headers, "bearer")? else {
            // RFC 6750 section 3.1: who sent nothing is told no error.
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "this needs a bearer token");
            return Err(challenged(problem, "Bearer realm=\"app\""));
        };
        let claims = self.verify(token).await?;
        let scopes = claims.scope.iter().flat_map(|scopes| scopes.split(' '));
        let groups = claims.cognito_groups.iter().chain(&claims.groups).map(String::as_str);
        let admin = scopes.chain(groups).any(|name| name == self.config.admin);
        Ok(Principal::Holder { admin, required: self.config.admin.clone() })
    }

    async fn verify(&self, token: &str) -> Result<Claims, Problem> {
        if token.len() > TOKEN_LIMIT {
            return Err(invalid("it is too long"));
        }
        let header = decode_header(token).map_err(|_| invalid("it is no signed token"))?;
        let key = self.keys.find(header.kid.as_deref()).await?.ok_or_else(|| invalid("its key is not known"))?;
        // The algorithm is the key's to say, never the token's alone; there are no keys but public ones.
        let mut validation = Validation::new(header.alg);
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        // Below, because of Cognito.
        validation.validate_aud = false;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let claims: Claims = decode(token, &key.decoding, &validation).map_err(|error| invalid(reason(&error)))?.claims;
        if claims.is_for(&self.config.audience) { Ok(claims) } else { Err(invalid("it is for another audience")) }
    }
}

impl Claims {
    fn is_for(&self, audience: &[String]) -> bool {
        match &self.aud {
            Some(OneOrMore::One(aud)) => audience.contains(aud),
            Some(OneOrMore::More(all)) => all.iter().any(|aud| audience.contains(aud)),
            None => self.client_id.as_ref().is_some_and(|client| audience.contains(client)),
        }
    }
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::InvalidAlgorithm => "its algorithm is not that of the key",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "it lacks exp, iss or sub",
        _ => "it is malformed",
    }
}

fn invalid(reason: &str) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, format!("the token is not accepted: {reason}"));
    let challenge = format!("Bearer realm=\"app\", error=\"invalid_token\", error_description=\"{reason}\"");
    challenged(problem, &challenge)
}
