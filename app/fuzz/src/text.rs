//! Any text: the fast way is the long way.
#![no_main]

use app::text::{mirror, reverse, reverse_upcase};
use unicode_segmentation::UnicodeSegmentation as _;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let clusters = || text.graphemes(true).rev();
    assert_eq!(reverse(text), clusters().collect::<String>());
    let upper: String = clusters().flat_map(str::chars).flat_map(char::to_uppercase).collect();
    assert_eq!(reverse_upcase(text), upper);
    // CR LF is one cluster, and LF CR becomes one.
    if text.is_ascii() && !text.contains('\r') {
        assert_eq!(mirror(&mirror(text)), text);
    }
    let _ = mirror(text);
});
