//! Any query has the parameter, or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(uri) = format!("/?{text}").parse() {
        let _ = app::query::required(&uri, "word");
    }
});
