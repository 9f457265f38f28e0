//! Parameters in the query of a URL.

use axum::http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The one value of a parameter that must be there once.
///
/// # Errors
/// 400 if it is missing, there twice, or no UTF-8.
pub fn required(uri: &Uri, name: &str) -> Result<String, Problem> {
    let bad = |what: &str| Problem::new(StatusCode::BAD_REQUEST, format!("the query parameter {name:?} {what}"));
    let mut found = None;
    for pair in uri.query().unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(key).as_deref() != Some(name) {
            continue;
        }
        let value = decoded(value).ok_or_else(|| bad("is not UTF-8"))?;
        if found.replace(value).is_some() {
            return Err(bad("is there twice"));
        }
    }
    found.ok_or_else(|| bad("is missing"))
}

/// As forms encode it: a space may be a plus sign.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_there_once_and_in_utf_8() {
        for (query, expected) in [
            ("/?word=a", Ok("a")),
            ("/?x=1&word=%C3%A9+%2B%00&", Ok("é +\0")),
            ("/?w%6Frd=a=b", Ok("a=b")),
            ("/?word", Ok("")),
            ("/", Err(())),
            ("/?Word=a", Err(())),
            ("/?word=a&word=a", Err(())),
            ("/?word=%ff", Err(())),
            ("/?word=%ED%A0%80", Err(())),
        ] {
            let found = required(&query.parse().unwrap(), "word");
            assert_eq!(
                found.map_err(|problem| assert_eq!(problem.status(), 400)).as_deref(),
                expected.as_ref().map(|text| *text).map_err(|()| &()),
                "{query}"
            );
        }
    }
}
