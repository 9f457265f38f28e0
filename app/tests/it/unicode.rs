//! The Unicode Consortium's own data, whole, and what must hold for any text.

use std::collections::BTreeSet;

use app::text::{mirror, reverse, reverse_upcase};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation as _;

/// Unicode 17.0.0, as the tables in use.
const BREAKS: &str = include_str!("../data/GraphemeBreakTest-17.0.0.txt");
/// As Debian has it. The mappings that depend on no language are the same ever since, as a test shows.
const CASING: &str = include_str!("../data/SpecialCasing-15.0.0.txt");

fn character(hex: &str) -> char {
    char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap()
}

fn characters(hex: &str) -> String {
    hex.split_whitespace().map(character).collect()
}

#[test]
fn every_grapheme_break_test_is_passed() {
    let mut count = 0;
    for line in BREAKS.lines().filter(|line| !line.starts_with('#')) {
        let clusters: Vec<String> = line
            .split('÷')
            .filter(|cluster| !cluster.trim().is_empty())
            .map(|cluster| cluster.split('×').map(|hex| character(hex.trim())).collect())
            .collect();
        // Also in the middle of ASCII, where blocks are turned around as a whole.
        for around in ["", "q", "a longer text of ASCII"] {
            let text = format!("{around}{}{around}", clusters.concat());
            let turned: String = around.chars().rev().collect();
            let expected: String = clusters.iter().rev().map(String::as_str).collect();
            // What joins goes with its neighbour.
            let joined = text.graphemes(true).rev().collect::<String>();
            assert_eq!(reverse(&text), joined, "{line}");
            if around.is_empty() {
                assert_eq!(reverse(&text), expected, "{line}");
            } else if joined == format!("{turned}{expected}{turned}") {
                assert_eq!(reverse_upcase(&text), joined.chars().flat_map(char::to_uppercase).collect::<String>());
            }
        }
        count += 1;
    }
    assert_eq!(count, 766);
}

#[test]
fn every_special_casing_is_followed() {
    let mut special = BTreeSet::new();
    for line in CASING.lines() {
        let data = line.split('#').next().unwrap_or_default();
        let fields: Vec<_> = data.split(';').map(str::trim).collect();
        // A fifth field names a language or a context: Final_Sigma, which concerns small letters.
        let [code, lower, _title, upper, condition, ..] = *fields else { continue };
        if !condition.is_empty() {
            continue;
        }
        let given = character(code);
        assert_eq!(reverse_upcase(&given.to_string()), characters(upper), "{line}");
        let swapped = match (given.is_lowercase(), given.is_uppercase()) {
            (true, _) => characters(upper),
            (_, true) => characters(lower),
            _ => given.to_string(),
        };
        assert_eq!(mirror(&given.to_string()), swapped, "{line}");
        special.insert(given);
    }
    assert_eq!(special.len(), 103);
    // The version in use has no more of them: nothing else becomes several characters.
    assert_eq!(char::UNICODE_VERSION, (17, 0, 0));
    let several = |one: &char| one.to_uppercase().count() > 1 || one.to_lowercase().count() > 1;
    assert_eq!(('\0'..=char::MAX).filter(several).find(|one| !special.contains(one)), None);
    assert_eq!(mirror("ΟΔΥΣΣΕΥΣ"), "ςυεσσυδο", "Final_Sigma");
}

/// What is hard: everything that joins, changes its length in upper case, or looks like both.
fn hard() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "a",
        "Z",
        "0",
        " ",
        "\r",
        "\n",
        "\r\n",
        "\0",
        "é",
        "e\u{301}",
        "\u{301}",
        "\u{345}",
        "ß",
        "ﬁ",
        "ŉ",
        "ᾳ",
        "ΐ",
        "İ",
        "ı",
        "Σ",
        "σ",
        "ς",
        "ǅ",
        "🇩",
        "🇪",
        "👍",
        "🏽",
        "\u{200d}",
        "👩",
        "\u{fe0f}",
        "ᄀ",
        "ᅡ",
        "ᆨ",
        "각",
        "가",
        "\u{600}",
        "\u{e33}",
        "क",
        "\u{94d}",
        "ि",
        "\u{e0061}",
        "\u{ad}",
        "漢",
        "𐐨",
        "a sentence in plain ASCII, of some length. ",
    ]);
    prop::collection::vec(
        prop_oneof![4 => parts.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)],
        0..60,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The long way: cluster by cluster, character by character.
    #[test]
    fn the_fast_way_is_the_long_way(text in hard()) {
        let clusters = || text.graphemes(true).rev();
        prop_assert_eq!(reverse(&text), clusters().collect::<String>());
        let upper: String = clusters().flat_map(str::chars).flat_map(char::to_uppercase).collect();
        prop_assert_eq!(&reverse_upcase(&text), &upper);
        prop_assert_eq!(upper.to_uppercase(), upper);
        prop_assert_eq!(reverse(&text).to_uppercase(), reverse_upcase(&text));
    }

    #[test]
    fn nothing_is_lost_or_added(text in hard()) {
        let sorted = |text: &str| {
            let mut characters: Vec<_> = text.chars().collect();
            characters.sort_unstable();
            characters
        };
        prop_assert_eq!(sorted(&reverse(&text)), sorted(&text));
    }

    #[test]
    fn twice_is_back_again(text in "[ -~]{0,300}") {
        prop_assert_eq!(&reverse(&reverse(&text)), &text);
        prop_assert_eq!(&mirror(&mirror(&text)), &text);
        prop_assert_eq!(reverse_upcase(&reverse_upcase(&text)), text.to_ascii_uppercase());
    }

    /// A letter in swapped case is that letter in the other one, and what has no case is untouched.
    #[test]
    fn mirrored_text_is_swapped_cluster_by_cluster(text in hard()) {
        let swapped = |cluster: &str| -> String {
            cluster.chars().flat_map(|one| -> Vec<char> {
                if one.is_lowercase() { one.to_uppercase().collect() }
                else if one.is_uppercase() { one.to_lowercase().collect() }
                else { vec![one] }
            }).collect()
        };
        let expected: String = text.graphemes(true).rev().map(swapped).collect();
        // Which small sigma it is, the words decide.
        prop_assert_eq!(mirror(&text).replace('ς', "σ"), expected.replace('ς', "σ"));
    }
}
