//! The forms that a text comes and goes in, and how a request names them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// A form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`, or another type that ends in `+json`.
    Json,
    /// `text/plain` in UTF-8.
    Text,
    /// `application/x-ndjson`: a JSON value a line.
    Lines,
}

impl Form {
    /// What `content-type` says of an answer in this form.
    pub fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Lines => "application/x-ndjson",
        })
    }

    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Text => ("text", "plain"),
            Self::Lines => ("application", "x-ndjson"),
        }
    }
}

/// The form that the body is said to be in.
///
/// # Errors
/// 415 if it is none of those that are taken.
pub fn given(headers: &HeaderMap, taken: &[Form]) -> Result<Form, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(form) = given.and_then(form).filter(|form| taken.contains(form)) {
        return Ok(form);
    }
    let names: Vec<_> = taken.iter().map(|form| form.parts()).map(|(kind, name)| format!("{kind}/{name}")).collect();
    let given = given.map_or_else(|| "no content-type".to_owned(), |given| format!("content-type {given:?}"));
    let detail = format!("the body must be {}, got {given}", names.join(" or "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn form(content_type: &str) -> Option<Form> {
    // What nearly everybody sends.
    if content_type == "application/json" {
        return Some(Form::Json);
    }
    let mut parts = content_type.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let form = match name.as_str() {
        "application/json" => Form::Json,
        "text/plain" => Form::Text,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Form::Lines,
        name if name.starts_with("application/") && name.ends_with("+json") => Form::Json,
        _ => return None,
    };
    // JSON has no other character set, and what such a parameter says about it counts for nothing.
    let charset = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| form == Form::Text && name.trim().eq_ignore_ascii_case("charset"));
    let utf8 = charset.is_none_or(|(_, set)| {
        let set = set.trim().trim_matches('"');
        set.eq_ignore_ascii_case("utf-8") || set.eq_ignore_ascii_case("us-ascii")
    });
    utf8.then_some(form)
}

/// The form that the client likes best (RFC 9110, section 12.5.1) of those on offer; the first if it does not care.
///
/// # Errors
/// 406 if it takes none.
pub fn wanted(headers: &HeaderMap, offered: &[Form]) -> Result<Form, Problem> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    let first = offered.first().copied().unwrap_or(Form::Json);
    if values.peek().is_none_or(|value| value.as_bytes() == b"*/*") {
        return Ok(first);
    }
    let ranges: Vec<_> = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).collect();
    let liked = offered.iter().map(|form| (*form, quality(*form, &ranges)));
    // Of equals the first.
    let best = liked.fold((first, 0), |best, next| if next.1 > best.1 { next } else { best });
    if best.1 > 0 {
        return Ok(best.0);
    }
    let names: Vec<_> = offered.iter().map(|form| form.parts()).map(|(kind, name)| format!("{kind}/{name}")).collect();
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, format!("the answer can only be {}", names.join(" or "))))
}

/// How much a form is liked, in thousandths: what the range that describes it most closely says.
fn quality(form: Form, ranges: &[&str]) -> u16 {
    let (kind, name) = form.parts();
    let fitting = ranges.iter().filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_name) = parts.next()?.split_once('/')?;
        let closeness = match (range_kind, range_name) {
            ("*", "*") => 0,
            (range, "*") if range.eq_ignore_ascii_case(kind) => 1,
            (range, exact) if range.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(name) => 2,
            _ => return None,
        };
        let weight = parts.filter_map(|parameter| parameter.split_once('='));
        let weight = weight.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        Some((closeness, weight.map_or(1000, |(_, weight)| thousandths(weight.trim()))))
    });
    fitting.max_by_key(|(closeness, _)| *closeness).map_or(0, |(_, quality)| quality)
}

/// `1`, `0.5`, `0.025`; what is none counts as nothing said against it.
fn thousandths(weight: &str) -> u16 {
    let number: f32 = weight.parse().unwrap_or(1.0);
    if number.is_nan() { 1000 } else { (number.clamp(0.0, 1.0) * 1000.0) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_told() {
        for (text, expected) in [
            ("application/json", Some(Form::Json)),
            ("APPLICATION/JSON; charset=latin1", Some(Form::Json)),
            ("application/vnd.x+json", Some(Form::Json)),
            ("text/plain", Some(Form::Text)),
            ("text/plain; charset=\"UTF-8\"; format=flowed", Some(Form::Text)),
            ("text/plain; charset=latin1", None),
            ("application/jsonl", Some(Form::Lines)),
            ("text/html", None),
            ("image/svg+json", None),
            ("", None),
            (";", None),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }

    #[test]
    fn the_form_that_is_liked_best_is_chosen() {
        let both = [Form::Json, Form::Text];
        for (accept, expected) in [
            (vec![], Some(Form::Json)),
            (vec!["*/*"], Some(Form::Json)),
            (vec!["text/plain"], Some(Form::Text)),
            (vec!["text/*, application/json;q=0.5"], Some(Form::Text)),
            (vec!["text/plain;q=0.5", "application/json ; q=0.4"], Some(Form::Text)),
            (vec!["*/*;q=0.1, application/json;q=0"], Some(Form::Text)),
            (vec!["text/html"], None),
            (vec!["*/*;q=0"], None),
            (vec!["nonsense, text/plain;q=much"], Some(Form::Text)),
            (vec![""], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(wanted(&headers, &both).ok(), expected, "{accept:?}");
        }
    }
}
