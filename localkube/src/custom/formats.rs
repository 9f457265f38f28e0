//! Formats of strings, as far as the API server checks them.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;

/// Whether a text has a format. Formats that nobody knows are no rule.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => is_duration(text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_network(text),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
        "hostname" => is_host(text),
        "uri" => text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/')),
        "mac" => {
            let parts: Vec<&str> = text.split([':', '-']).collect();
            [6, 8].contains(&parts.len()) && parts.iter().all(|part| part.len() == 2 && is_hex(part))
        }
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        _ => true,
    }
}

/// Whether a whole number is within its format.
pub(super) fn holds(format: &str, number: f64) -> bool {
    match format {
        "int32" => (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number),
        "uint32" => (0.0..=f64::from(u32::MAX)).contains(&number),
        "uint64" => number >= 0.0,
        _ => true,
    }
}

/// Go's durations, for example `1h30m`, and days and weeks besides.
fn is_duration(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(0);
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let known = ["ns", "us", "µs", "ms", "s", "m", "h", "d", "w"].contains(&unit.trim());
        if number.parse::<f64>().is_err() || !known {
            return text == "0";
        }
        rest = tail;
    }
    true
}

fn is_network(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, prefix)| {
        let longest = if address.parse::<Ipv4Addr>().is_ok() {
            32
        } else if address.parse::<Ipv6Addr>().is_ok() {
            128
        } else {
            return false;
        };
        prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
    })
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    digits.len() == 32 && is_hex(&digits) && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
