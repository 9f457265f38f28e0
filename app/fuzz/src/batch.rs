//! Any bytes, in any pieces: what is found does not depend on the pieces, and an array of JSON is one.
#![no_main]

use app::api::split::{Item, Kind, Splitter};
use serde_json::Value;

fn split(kind: Kind, bytes: &[u8], size: usize) -> Option<Vec<Item>> {
    let mut splitter = Splitter::new(kind, 1 << 16);
    let mut items = Vec::new();
    for mut piece in bytes.chunks(size) {
        while let Some(item) = splitter.next(&mut piece).ok()? {
            items.push(item);
        }
    }
    items.extend(splitter.end().ok()?);
    Some(items)
}

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    for kind in [Kind::Array, Kind::Lines] {
        assert_eq!(split(kind, bytes, size), split(kind, bytes, usize::MAX));
    }
    if let Ok(values) = serde_json::from_slice::<Vec<Value>>(bytes) {
        let items = split(Kind::Array, bytes, size).expect("it is an array");
        assert_eq!(items.len(), values.len());
    }
});
