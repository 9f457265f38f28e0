//! The full case mappings of the Unicode Standard (section 5.18) that no context and no language changes.

use std::sync::LazyLock;

/// Where most letters with two cases are: Latin, Greek, Cyrillic, Armenian.
const COMMON: usize = 0x600;

/// Their upper case, where it is one character; itself, where it is several.
static UPPER: LazyLock<Box<[Option<char>]>> = LazyLock::new(|| {
    let letters = (0..COMMON as u32).map(|code| char::from_u32(code).unwrap_or_default());
    letters
        .map(|letter| {
            let mut upper = letter.to_uppercase();
            upper.next().filter(|_| upper.next().is_none())
        })
        .collect()
});

/// Appends a character in upper case.
#[inline]
pub(super) fn push_upper(character: char, out: &mut String) {
    let code = u32::from(character);
    // Asking the standard library takes a binary search.
    let known = if has_no_case(code) { Some(character) } else { UPPER.get(code as usize).copied().flatten() };
    match known {
        Some(upper) => out.push(upper),
        None => out.extend(character.to_uppercase()),
    }
}

/// Some of what is the same in upper case: the scripts of South Asia, of East Asia, and pictures.
fn has_no_case(code: u32) -> bool {
    matches!(code, 0x600..0x10d0 | 0x1100..0x13a0 | 0x2e00..0xa640 | 0xac00..0xfb00 | 0x1f000..)
}

/// Appends a character in lower case, if it is in upper case, and the other way about.
///
/// The whole text decides about a sigma: at the end of a word its small letter is ς.
pub(super) fn push_swapped(character: char, sigmas: &mut Sigmas, out: &mut String) {
    if character == 'Σ' {
        out.push(sigmas.last());
    } else if character.is_lowercase() {
        push_upper(character, out);
    } else if character.is_uppercase() {
        out.extend(character.to_lowercase());
    } else {
        out.push(character);
    }
}

/// The small letters of a text's Σs, from the last one on.
pub(super) struct Sigmas(std::vec::IntoIter<char>);

impl Sigmas {
    pub(super) fn of(text: &str) -> Self {
        if !text.contains('Σ') {
            return Self(Vec::new().into_iter());
        }
        // The standard library looks around each sigma when it lower-cases a whole text, and at nothing else: the rest
        // is what its characters are one by one.
        let lower = text.to_lowercase();
        let mut rest = lower.chars();
        let mut sigmas = Vec::new();
        for character in text.chars() {
            if character == 'Σ' {
                sigmas.extend(rest.next());
            } else {
                // As many as it is by itself.
                character.to_lowercase().zip(rest.by_ref()).for_each(drop);
            }
        }
        Self(sigmas.into_iter())
    }

    /// The last one that was not asked for yet.
    fn last(&mut self) -> char {
        self.0.next_back().unwrap_or('σ')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_upper_cased_as_the_standard_library_does() {
        for character in '\0'..=char::MAX {
            let mut upper = String::new();
            push_upper(character, &mut upper);
            assert_eq!(upper, character.to_uppercase().to_string(), "{character:?}");
        }
    }
}
