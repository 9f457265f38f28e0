//! Any body is JSON or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = app::body::json::<serde_json::Value>(bytes, "a value");
    assert_eq!(read.is_ok(), serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
});
