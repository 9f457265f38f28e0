//! Who may ask.

use std::time::Duration;

use hyper::Uri;

use super::Reader;

/// How those who ask prove who they are: `AUTH` is `off` (the default), `jwt` or `basic`.
#[derive(Debug, Clone)]
pub enum Auth {
    /// They need not.
    Off,
    /// By a bearer token of an OpenID Connect issuer.
    Jwt(Jwt),
    /// By the e-mail address and password of a user in the database.
    Basic,
}

/// Which tokens are good.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// `JWT_ISSUER`: who makes them, as their `iss` says.
    pub issuer: String,
    /// `JWT_DISCOVERY`: where the issuer describes itself, by default below itself at
    /// `/.well-known/openid-configuration`.
    pub discovery: String,
    /// `JWT_AUDIENCE`: for whom they are made, separated by commas; for Cognito the ids of app clients.
    pub audience: Vec<String>,
    /// `JWT_ADMIN`: the scope or group whose holders may manage users, by default `admin`.
    pub admin: String,
    /// `JWT_LEEWAY`: by how much clocks may differ, by default 60s.
    pub leeway: Duration,
    /// `JWT_REFETCH`: how long at least between two looks for keys that are not known, by default 30s.
    pub refetch: Duration,
}

impl Auth {
    pub(super) fn read(read: &mut Reader<'_>, database: bool) -> Self {
        let auth = read.value("AUTH", "off", "off, jwt or basic", |text| {
            ["off", "jwt", "basic"].contains(&text).then(|| text.to_owned())
        });
        let url = "an https URL, or an http one of this machine";
        let issuer = read.optional("JWT_ISSUER", url, secure);
        let discovery = read.optional("JWT_DISCOVERY", url, secure);
        let audience = read.optional("JWT_AUDIENCE", "names separated by commas", |text| {
            let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
            names.iter().all(|name| !name.is_empty()).then_some(names)
        });
        let admin = read.value("JWT_ADMIN", "admin", "a scope or a group", |text| {
            // It is said to those who lack it, in quotes.
            let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            text.bytes().all(plain).then(|| text.to_owned())
        });
        let leeway = read.duration("JWT_LEEWAY", "60s");
        let refetch = read.duration("JWT_REFETCH", "30s");
        match auth.as_str() {
            "jwt" => {
                read.require(issuer.is_some(), || "AUTH=jwt needs JWT_ISSUER".to_owned());
                read.require(audience.is_some(), || "AUTH=jwt needs JWT_AUDIENCE".to_owned());
                let issuer = issuer.unwrap_or_default();
                let below = || format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let discovery = discovery.unwrap_or_else(below);
                Self::Jwt(Jwt { discovery, issuer, audience: audience.unwrap_or_default(), admin, leeway, refetch })
            }
            "basic" => {
                read.require(database, || "AUTH=basic needs DATABASE_FILE or DATABASE_URL".to_owned());
                Self::Basic
            }
            _ => Self::Off,
        }
    }
}

/// Who can change what comes from there could make tokens of his own.
fn secure(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let near = ["127.0.0.1", "[::1]", "localhost"].contains(&uri.host()?);
    (uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && near).then(|| text.to_owned())
}
