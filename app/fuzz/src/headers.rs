//! Any header chooses a form of body, or none.
#![no_main]

use app::media::{Form, given, wanted};
use axum::http::{HeaderMap, HeaderValue, header};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers: HeaderMap = [(header::ACCEPT, value.clone()), (header::CONTENT_TYPE, value)].into_iter().collect();
    let _ = given(&headers, &[Form::Json, Form::Text, Form::Lines]);
    let _ = wanted(&headers, &[Form::Json, Form::Text]);
});
