//! Every parser, given anything: it answers or refuses, and never breaks.

use app::{
    api::split::{Item, Kind, Splitter},
    body,
    config::Config,
    media::{Form, given, wanted},
    query,
};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use proptest::prelude::*;
use serde_json::Value;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        r#"[\[\]{},"\\ ]{0,10}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".{0,5}", inner, 0..5)
                .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

/// Cuts what arrives in pieces; `None` when it is no array.
fn split(kind: Kind, bytes: &[u8], pieces: &[usize]) -> Option<Vec<Item>> {
    let mut splitter = Splitter::new(kind, 1 << 20);
    let (mut items, mut rest) = (Vec::new(), bytes);
    let mut sizes = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(size);
        while let Some(item) = splitter.next(&mut piece).ok()? {
            items.push(item);
        }
        rest = after;
    }
    items.extend(splitter.end().ok()?);
    Some(items)
}

fn values(items: Option<Vec<Item>>) -> Option<Vec<Value>> {
    let items = items?.into_iter().map(|item| match item {
        Item::Text(text) => serde_json::from_slice(&text).ok(),
        Item::TooLarge => None,
    });
    items.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_has_the_items_that_were_put_in(
        sent in prop::collection::vec(json(), 0..8),
        pieces in prop::collection::vec(1_usize..40, 1..5),
        pretty in any::<bool>(),
    ) {
        let array = Value::from(sent.clone());
        let array = if pretty { serde_json::to_vec_pretty(&array) } else { serde_json::to_vec(&array) }.unwrap();
        prop_assert_eq!(values(split(Kind::Array, &array, &pieces)), Some(sent.clone()));
        let lines: String = sent.iter().map(|value| format!("{value}\r\n")).collect();
        prop_assert_eq!(values(split(Kind::Lines, lines.as_bytes(), &pieces)), Some(sent));
    }

    /// What the splitter takes for an array of JSON is one, and the other way about.
    #[test]
    fn what_is_no_array_is_found_out(text in r#"[\[\]{},"\\ 1a:]{0,16}"#, pieces in prop::collection::vec(1_usize..4, 1..3)) {
        let found = values(split(Kind::Array, text.as_bytes(), &pieces));
        prop_assert_eq!(found, serde_json::from_str::<Vec<Value>>(&text).ok());
    }

    #[test]
    fn any_bytes_are_split_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), pieces in prop::collection::vec(1_usize..20, 1..4)) {
        let whole = split(Kind::Lines, &bytes, &[1000]);
        prop_assert_eq!(split(Kind::Lines, &bytes, &pieces), whole);
        let whole = split(Kind::Array, &bytes, &[1000]);
        prop_assert_eq!(split(Kind::Array, &bytes, &pieces), whole);
    }

    #[test]
    fn any_body_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), text in r#"\{?"data":? ?"?.{0,20}"?\}?"#) {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let read = body::json::<Value>(bytes, "a value");
            prop_assert_eq!(read.is_ok(), serde_json::from_slice::<Value>(bytes).is_ok());
        }
    }

    #[test]
    fn any_header_chooses_a_form_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[a-z*/;,=q0-9. \"+-]{0,40}") {
        for value in [HeaderValue::from_bytes(&bytes), HeaderValue::from_str(&text)].into_iter().flatten() {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.clone());
            headers.insert(header::CONTENT_TYPE, value);
            let _ = given(&headers, &[Form::Json, Form::Text, Form::Lines]);
            let chosen = wanted(&headers, &[Form::Json, Form::Text]);
            prop_assert!(chosen.is_err() || matches!(chosen, Ok(Form::Json | Form::Text)));
        }
    }

    #[test]
    fn any_query_has_the_parameter_or_not(word in ".{0,20}", noise in "[a-z=&%+0-9]{0,20}") {
        let encoded: String = word.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let uri: Uri = format!("/?x{noise}&word={encoded}").parse().unwrap();
        // The noise may have a parameter of that name, too.
        if let Ok(found) = query::required(&uri, "word") {
            prop_assert_eq!(found, word);
        }
        if let Ok(uri) = format!("/?{noise}").parse() {
            let _ = query::required(&uri, "word");
        }
    }

    #[test]
    fn any_setting_is_taken_or_told(text in prop_oneof![".{0,12}", "[0-9]{1,22}(ms|s|m|KiB|MiB|GiB|)", "(http|redis)://.{0,12}"]) {
        let config = Config::parse(|name| (name != "CONFIG_FILE").then(|| text.clone()));
        if let Err(errors) = config {
            prop_assert!(errors.iter().all(|error| !error.contains('\n')));
        }
    }
}
