//! The formats of names and keys, from `k8s.io/apimachinery/pkg/util/validation`. Each check returns what is wrong,
//! in words that end up in `details.causes`.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                          'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                          '[-._a-zA-Z0-9]+')";
const ENVIRONMENT: &str = "a valid environment variable name must consist only of printable ASCII characters other \
                           than '='";

/// `must be between 1 and 65535, inclusive`
pub(crate) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

fn longer_than(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

fn bounded(text: &str, inner: impl Fn(u8) -> bool, edge: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => edge(*first) && edge(*last) && bytes.iter().all(|byte| inner(*byte)),
        _ => false,
    }
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    bounded(text, |byte| lower_or_digit(byte) || byte == b'-', lower_or_digit)
}

fn is_name_part(text: &str) -> bool {
    bounded(text, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte), |byte| byte.is_ascii_alphanumeric())
}

fn checked(text: &str, limit: usize, fits: bool, message: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > limit {
        wrong.push(longer_than(limit));
    }
    if !fits {
        wrong.push(message.to_owned());
    }
    wrong
}

/// RFC 1123 label, at most 63 characters.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    checked(text, 63, is_label(text), LABEL)
}

/// RFC 1123 subdomain, at most 253 characters.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    checked(text, 253, text.split('.').all(is_label), SUBDOMAIN)
}

/// What may stand in a path: used for kinds whose names have no further rules.
pub(crate) fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|bad| text.contains(**bad)).map(|bad| format!("may not contain '{bad}'")).collect()
}

/// A label or annotation key: an optional subdomain and `/`, then a name of at most 63 characters.
pub(crate) fn qualified(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                QUALIFIED
            )];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", longer_than(63)));
    }
    if !is_name_part(name) {
        wrong.push(format!("name part {QUALIFIED}"));
    }
    wrong
}

/// The value of a label, at most 63 characters.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    checked(text, 63, text.is_empty() || is_name_part(text), LABEL_VALUE)
}

/// A key of a ConfigMap or a Secret.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut wrong = checked(text, 253, !text.is_empty() && text.bytes().all(plain), CONFIG_KEY);
    match text {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// The name of an environment variable, by the relaxed rule (KEP-4369).
pub(crate) fn environment_variable(text: &str) -> Vec<String> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        Vec::new()
    } else {
        vec![ENVIRONMENT.to_owned()]
    }
}

/// The name of a port (RFC 6335), at most 15 characters.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 15 {
        wrong.push(longer_than(15));
    }
    if !text.bytes().all(|byte| lower_or_digit(byte) || byte == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// `50%`
pub(crate) fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
