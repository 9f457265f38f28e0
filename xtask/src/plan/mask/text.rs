//! Where in a text a credential stands: in URLs, behind a name that gives it away, between the lines of a private key.

use std::ops::Range;

use super::names::is_credential;

/// The parts of a text that are credentials, in order and apart from each other.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if text.contains("-----BEGIN") {
        private_keys(text, &mut found);
    }
    if text.contains("://") {
        user_information(text, &mut found);
    }
    if text.contains(['=', ':']) || text.contains("--") {
        assignments(text, &mut found);
    }
    found.retain(|range| !range.is_empty() && is_literal(&text[range.clone()]));
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in found {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// References to other variables are no credentials, and neither is what is hidden already.
fn is_literal(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty()
        && !["$(", "${", "{{", "true", "false", "null"].iter().any(|start| value.starts_with(start))
        && value != super::HIDDEN
}

/// `scheme://user:password@host`; over HTTP a user alone is a token, too.
fn user_information(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let length = text[start..].find(['/', '?', '#', ' ', '\n', '"', '\'', ',']).unwrap_or(text.len() - start);
        // A password may hold an unescaped slash or question mark; the last @ before a space ends it.
        let whole = text[start..].find([' ', '\n', '"', '\'', '\t']).unwrap_or(text.len() - start);
        let authority = &text[start..start + length];
        let reach = if authority.contains('@') { authority } else { &text[start..start + whole] };
        let Some(end) = reach.rfind('@') else { continue };
        match reach[..end].find(':') {
            // Without an @ in the authority only `user:part-of-a-password` is one, `host:port` is not.
            Some(colon) if authority.contains('@') || !is_port(&reach[colon + 1..end]) => {
                found.push(start + colon + 1..start + end);
            }
            None if authority.contains('@') && text[..at].ends_with(['p', 's']) => found.push(start..start + end),
            _ => {}
        }
    }
}

fn is_port(text: &str) -> bool {
    text.split(['/', '?']).next().is_some_and(|port| port.chars().all(|character| character.is_ascii_digit()))
}

/// `name=value`, `name: value`, `"name": "value"`, `--name value`
fn assignments(text: &str, found: &mut Vec<Range<usize>>) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_name(bytes[at]) {
            at += 1;
        }
        let name = &text[start..at];
        let Some(value) = separated(bytes, at, name.starts_with("--")) else { continue };
        if is_credential(name) {
            let begins_line = text[..start].trim_end_matches([' ', '\t', '"', '\'', '-']).ends_with('\n')
                || text[..start].trim().is_empty();
            let end = value_end(text, value, begins_line && !name.starts_with('-'));
            found.push(trimmed(text, value, end));
            at = end;
        }
    }
}

/// Where the value begins, if a separator follows the name.
fn separated(bytes: &[u8], mut at: usize, is_flag: bool) -> Option<usize> {
    let skip = |mut at: usize, of: &[u8]| {
        while bytes.get(at).is_some_and(|byte| of.contains(byte)) {
            at += 1;
        }
        at
    };
    let end = at;
    at = skip(at, b"\"'\\ \t");
    match bytes.get(at) {
        Some(b'=' | b':') => Some(skip(at + 1, b" \t")),
        Some(_) if is_flag && at > end => Some(at),
        _ => None,
    }
}

/// Where the value ends: at its closing quote, or at the end of its word or its line.
fn value_end(text: &str, start: usize, to_the_end_of_the_line: bool) -> usize {
    let rest = &text[start..];
    for quote in ["\\\"", "\"", "'"] {
        if let Some(inside) = rest.strip_prefix(quote) {
            return start + quote.len() + inside.find(quote).unwrap_or(inside.len());
        }
    }
    let line = rest.find('\n').unwrap_or(rest.len());
    if to_the_end_of_the_line {
        return start + line;
    }
    let word = |from: usize| {
        rest[from..].find([' ', '\t', '\n', '"', '\'', ',', ';', '&', '}']).map_or(rest.len(), |found| from + found)
    };
    let first = word(0);
    // The credential follows its scheme.
    match &rest[..first] {
        "Bearer" | "Basic" | "Token" | "bearer" | "basic" | "token" if first < line => start + word(first + 1),
        _ => start + first,
    }
}

/// The value without its opening quote and the space around it.
fn trimmed(text: &str, start: usize, end: usize) -> Range<usize> {
    let value = &text[start..end];
    let inner = value.trim_start_matches(['"', '\'', '\\']);
    let start = start + value.len() - inner.len();
    start..start + inner.trim_end().len()
}

fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const END: &str = "-----END";
    for (begin, _) in text.match_indices("-----BEGIN") {
        let rest = &text[begin..];
        let head = rest.find("KEY").filter(|head| !rest[..*head].contains('\n'));
        if head.is_some_and(|head| rest[..head].contains("PRIVATE")) {
            let end = rest.find(END).map_or(rest.len(), |end| {
                rest[end + END.len()..].find("-----").map_or(rest.len(), |close| end + END.len() + close + 5)
            });
            found.push(begin..begin + end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::secrets;

    #[test]
    fn credentials_are_found_wherever_texts_hold_them() {
        for (text, expected) in [
            ("postgres://app:hunter2@db/x", vec!["hunter2"]),
            ("postgres://app:hun/ter2@db/x", vec!["hun/ter2"]),
            ("redis://:hunter2@cache:6379", vec!["hunter2"]),
            ("https://ghp_abc@github.com/x", vec!["ghp_abc"]),
            ("ssh://git@host/x", vec![]),
            ("http://host:80/x?mail=a@b.c", vec![]),
            ("a http://u:p1@h and http://v:p2@h", vec!["p1", "p2"]),
            ("host=db password=hunter2 user=x", vec!["hunter2"]),
            ("db.password = hunter2, with words\nport = 5", vec!["hunter2, with words"]),
            ("  password: hunter2\n  port: 1", vec!["hunter2"]),
            (r#"{"user":"a","password":"hun,ter2","x":1}"#, vec!["hun,ter2"]),
            (r#"{\"password\":\"hunter2\"}"#, vec!["hunter2"]),
            ("run --db-password hunter2 --port 1", vec!["hunter2"]),
            ("run --token=abc --port=1", vec!["abc"]),
            ("https://h/x?access_token=abc&b=1", vec!["abc"]),
            ("Authorization: Bearer abc", vec!["Bearer abc"]),
            ("curl -H 'Authorization: Bearer abc' x", vec!["Bearer abc"]),
            ("password=$(DB_PASSWORD)", vec![]),
            ("password: ${PW}", vec![]),
            (
                "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n",
                vec!["-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"],
            ),
            ("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", vec![]),
            ("proxy_pass http://app:8080;", vec![]),
            ("level=debug port: 80", vec![]),
            ("größe=1 password=hünter2", vec!["hünter2"]),
        ] {
            let found: Vec<&str> = secrets(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
