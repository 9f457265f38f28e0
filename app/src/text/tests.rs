//! What comes back for what.

use super::{mirror, reverse, reverse_upcase};

#[test]
fn ascii_is_reversed_and_upcased() {
    assert_eq!(reverse_upcase(""), "");
    assert_eq!(reverse_upcase("reverse me"), "EM ESREVER");
    assert_eq!(reverse_upcase("a1-~\u{7f}\0"), "\0\u{7f}~-1A");
}

#[test]
fn clusters_stay_whole() {
    for (text, expected) in [
        ("a\r\nb", "B\r\nA"),
        ("a\n\rb", "B\r\nA"),
        ("e\u{301}a", "AE\u{301}"),
        ("a🇩🇪🇫🇷b", "B🇫🇷🇩🇪A"),
        ("x👩‍👩‍👧‍👦y", "Y👩‍👩‍👧‍👦X"),
        ("👍🏽!", "!👍🏽"),
        ("각x", "X각"),
        ("\u{1112}\u{1161}\u{11ab}x", "X\u{1112}\u{1161}\u{11ab}"),
        ("नमस्ते", "स्तेमन"),
        ("1️⃣2", "21️⃣"),
        ("กำx", "Xกำ"),
    ] {
        assert_eq!(reverse_upcase(text), expected, "{text:?}");
    }
}

#[test]
fn upper_casing_is_the_full_one() {
    for (text, expected) in [
        ("ß", "SS"),
        ("straße", "ESSARTS"),
        ("ﬁ", "FI"),
        ("ﬁx", "XFI"),
        ("ﬃ", "FFI"),
        ("ὈΔΥΣΣΕΎΣ ὀδυσσεύς", "ΣΎΕΣΣΥΔὈ ΣΎΕΣΣΥΔὈ"),
        ("σς", "ΣΣ"),
        ("ŉ", "ʼN"),
        ("ᾳb", "BΑΙ"),
        ("ΐx", "XΙ\u{308}\u{301}"),
        ("ǆ", "Ǆ"),
        ("ǳx", "XǱ"),
        ("ı", "I"),
        ("i", "I"),
        ("ÿ", "Ÿ"),
        ("և", "ԵՒ"),
        ("𐐨", "𐐀"),
        ("ა", "Ა"),
    ] {
        assert_eq!(reverse_upcase(text), expected, "{text:?}");
    }
}

/// Decomposed and composed text give the same text, decomposed and composed.
#[test]
fn marks_stay_behind_their_base() {
    assert_eq!(reverse_upcase("née"), "EÉN");
    assert_eq!(reverse_upcase("ne\u{301}e"), "EE\u{301}N");
    assert_eq!(reverse_upcase("a\u{308}\u{301}\u{323}z"), "ZA\u{308}\u{301}\u{323}");
}

/// The short way and the long way agree on every pair of ASCII characters.
#[test]
fn the_fast_path_agrees() {
    for first in 0..128_u8 {
        for second in 0..128_u8 {
            let text = format!("{}{}", char::from(first), char::from(second));
            let long = reverse_upcase(&format!("{text}é"));
            assert_eq!(long, format!("É{}", reverse_upcase(&text)));
        }
    }
}

/// Swapped one by one, and in reverse: what a sigma looks like is decided where it stood.
#[test]
fn mirrored_text_is_swapped_and_reversed() {
    for (text, expected) in [
        ("fOoBar25", "52RAbOoF"),
        ("", ""),
        ("straße", "ESSARTS"),
        ("ÉÄé", "Éäé"),
        ("ΟΔΟΣ", "ςοδο"),
        ("ΣΑΣ ΣΑ", "ασ ςασ"),
        ("İ", "i\u{307}"),
        ("ǅ", "ǅ"),
        ("A🇩🇪b", "B🇩🇪a"),
        ("A\r\nb", "B\r\na"),
        ("Ae\u{301}", "E\u{301}a"),
    ] {
        assert_eq!(mirror(text), expected, "{text:?}");
    }
}

#[test]
fn upcasing_what_is_reversed_is_the_same() {
    for text in ["reverse me", "ﬁx straße ᾳb", "a\r\nb", "ᾳ\u{301}🇩🇪🇫🇷"] {
        assert_eq!(reverse(text).to_uppercase(), reverse_upcase(text), "{text:?}");
    }
}
