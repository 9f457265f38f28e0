//! E-mail address and password with each request (RFC 7617).

use axum::http::{HeaderMap, StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Principal, challenged, credentials};
use crate::{State, config::Secret, problem::Problem};

const CHALLENGE: &str = "Basic realm=\"app\", charset=\"UTF-8\"";

pub(super) async fn identify(state: &State, headers: &HeaderMap) -> Result<Principal, Problem> {
    let refuse = |detail| challenged(Problem::new(StatusCode::UNAUTHORIZED, detail), CHALLENGE);
    let given = credentials(headers, "basic")?.ok_or_else(|| refuse("this needs the name and password of a user"))?;
    let (email, password) = decode(given).ok_or_else(|| refuse("what was sent is no name and password"))?;
    let users = state.users.as_ref().ok_or_else(|| refuse("there are no users"))?;
    let user = users.authenticate(&email, password).await?;
    // One word for both, so that nobody learns who is a user.
    let user = user.ok_or_else(|| refuse("there is no user of this name and password"))?;
    Ok(Principal::User { id: user.id, admin: user.admin })
}

/// A name has no colon; a password may.
fn decode(given: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok()?;
    let (email, password) = text.split_once(':')?;
    Some((email.to_owned(), Secret::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_colons() {
        // The example of RFC 7617, section 2, and one with a colon.
        let (name, password) = decode("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!((name.as_str(), password.expose().as_str()), ("Aladdin", "open sesame"));
        assert_eq!(decode("YTpiOmM=").unwrap().1.expose(), "b:c");
        for bad in ["", "!", "QWxh", "/w==", "QWxhZGRpbg"] {
            assert!(decode(bad).is_none(), "{bad}");
        }
    }
}
