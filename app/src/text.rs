//! Reversing and upper-casing text as people see it.

use unicode_segmentation::UnicodeSegmentation as _;

/// Reverses the extended grapheme clusters (UAX #29) of a text and upper-cases each by the full mappings of the
/// Unicode Standard (section 5.18).
///
/// The clusters are those of the text as given. Upper-casing may make several letters of one: were it done first, the
/// ligature ﬁ would come out as `IF`, and the iota below an ᾳ would move in front of its alpha. A sigma is Σ wherever it
/// stands, and no mapping depends on a language, so the same text always gives the same answer.
pub fn reverse_upcase(text: &str) -> String {
    // In ASCII a line break is the only cluster of several characters.
    if text.is_ascii() && !text.contains("\r\n") {
        return text.bytes().rev().map(|byte| char::from(byte.to_ascii_uppercase())).collect();
    }
    let mut reversed = String::with_capacity(text.len());
    for cluster in text.graphemes(true).rev() {
        // Not `char` by `char` in reverse: marks stay behind their base.
        reversed.extend(cluster.chars().flat_map(char::to_uppercase));
    }
    reversed
}

#[cfg(test)]
mod tests {
    use super::reverse_upcase;

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
}
