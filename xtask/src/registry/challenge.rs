//! What a registry asks for before it answers: `WWW-Authenticate`
//! (RFC 9110, 11.6.1; distribution-spec's token authentication).

use std::collections::BTreeMap;

/// How to prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By name and password with each request.
    Basic,
    /// By a token that the realm sells.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// What the token is for.
        service: Option<String>,
    },
}

/// The challenges of one header, in its order; unknown schemes are left out.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let scheme = scheme.trim_end_matches(',');
        let (mut parameters, left) = parameters(after.trim_start());
        rest = left;
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameters.remove("realm")
        {
            challenges.push(Challenge::Bearer { realm, service: parameters.remove("service") });
        }
    }
    challenges
}

/// `name="value", name=value` and what follows them: the next scheme.
fn parameters(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut parameters = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.!#$%&'*+^`|~".contains(c))).unwrap_or(rest.len());
        let Some(after) = rest[end..].trim_start().strip_prefix('=') else { return (parameters, rest) };
        let name = rest[..end].to_ascii_lowercase();
        let (value, after) = value(after.trim_start());
        parameters.insert(name, value);
        rest = after;
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => {
                value.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
        };
        for (header, expected) in [
            ("Basic realm=\"Registry\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://a/token\",service=\"a\",scope=\"repository:x/y:pull,push\"",
                vec![bearer("https://a/token", Some("a"))],
            ),
            ("Bearer realm=https://a/token , service=a", vec![bearer("https://a/token", Some("a"))]),
            ("Bearer realm=\"a\\\"b\", Basic realm=\"c\"", vec![bearer("a\"b", None), Challenge::Basic]),
            ("Negotiate, Basic realm=\"x\"", vec![Challenge::Basic]),
            ("Bearer service=\"a\"", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }
}
