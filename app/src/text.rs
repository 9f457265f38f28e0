//! Reversing text and changing its case as people see it.

mod case;
mod joins;

#[cfg(test)]
mod tests;

use unicode_segmentation::UnicodeSegmentation as _;

use case::Sigmas;
use joins::joins;

/// Reverses the extended grapheme clusters (UAX #29) of a text and upper-cases each by the full mappings of the
/// Unicode Standard (section 5.18).
///
/// The clusters are those of the text as given. Upper-casing may make several letters of one: were it done first, the
/// ligature ﬁ would come out as `IF`, and the iota below an ᾳ would move in front of its alpha. A sigma is Σ wherever it
/// stands, and no mapping depends on a language, so the same text always gives the same answer.
pub fn reverse_upcase(text: &str) -> String {
    let upper = |letter: u8| letter.to_ascii_uppercase();
    ascii(text.as_bytes(), upper).unwrap_or_else(|| mixed(text, upper, case::push_upper))
}

/// Reverses the extended grapheme clusters of a text.
pub fn reverse(text: &str) -> String {
    let same = |letter| letter;
    ascii(text.as_bytes(), same).unwrap_or_else(|| mixed(text, same, |character, out| out.push(character)))
}

/// Swaps the case of a text, by the full mappings too, and reverses its extended grapheme clusters.
///
/// A letter that is in title case, such as ǅ, has neither case and stays.
pub fn mirror(text: &str) -> String {
    let swap = |letter: u8| if letter.is_ascii_alphabetic() { letter ^ 0x20 } else { letter };
    ascii(text.as_bytes(), swap).unwrap_or_else(|| {
        let mut sigmas = Sigmas::of(text);
        mixed(text, swap, |character, out| case::push_swapped(character, &mut sigmas, out))
    })
}

/// Bytes of ASCII that are turned around together.
const BLOCK: usize = 128;
/// The same where not all is ASCII.
const SHORT: usize = 16;

/// Reverses ASCII in which every character is a cluster; other text is left.
fn ascii(text: &[u8], change: impl Fn(u8) -> u8) -> Option<String> {
    let (front, blocks) = text.as_rchunks::<BLOCK>();
    if !front.iter().all(|letter| single(*letter)) {
        return None;
    }
    let mut reversed = Vec::with_capacity(blocks.len() + 1);
    let mut other = false;
    reversed.extend(blocks.iter().rev().map(|block| {
        let (block, found) = turned(block, &change);
        other |= found;
        block
    }));
    if other {
        return None;
    }
    let mut reversed = reversed.into_flattened();
    reversed.extend(front.iter().rev().map(|letter| change(*letter)));
    String::from_utf8(reversed).ok()
}

/// Goes through any text from its end on, changing the ASCII characters and the others.
fn mixed(text: &str, ascii: impl Fn(u8) -> u8, mut each: impl FnMut(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let previous = |rest: &mut std::str::CharIndices<'_>| rest.next_back().map(|(at, one)| (at, one, joins(one)));
    let mut rest = text.char_indices();
    let mut next = previous(&mut rest);
    // No block can be turned around as a whole while it reaches beyond this.
    let mut hindrance = usize::MAX;
    while let Some((start, last, joined)) = next {
        if last.is_ascii() && start < hindrance {
            match short(&text.as_bytes()[..start + 1], &ascii) {
                Ok(block) => {
                    out.push_str(str::from_utf8(&block).unwrap_or_default());
                    rest = text[..start + 1 - SHORT].char_indices();
                    next = previous(&mut rest);
                    continue;
                }
                Err(at) => hindrance = at,
            }
        }
        next = previous(&mut rest);
        // Between two characters that don't join there is always an end, except in a line break.
        match next {
            Some((_, '\r', _)) if last == '\n' => {
                out.push_str("\r\n");
                // A carriage return joins nothing in front of it.
                next = previous(&mut rest);
            }
            Some((_, _, before)) if joined || before => {
                let end = start + last.len_utf8();
                let start = apart(&text[..end]);
                // Not character by character in reverse: marks stay behind their base.
                let clusters = text[start..end].graphemes(true).rev();
                clusters.for_each(|cluster| cluster.chars().for_each(|one| each(one, &mut out)));
                rest = text[..start].char_indices();
                next = previous(&mut rest);
            }
            _ => each(last, &mut out),
        }
    }
    out
}

/// Where the last characters of a text that may be in one cluster begin.
fn apart(text: &str) -> usize {
    let mut back = text.char_indices().rev();
    let Some((mut start, mut first)) = back.next() else { return 0 };
    for (at, before) in back {
        if !joins(first) && !joins(before) && (before, first) != ('\r', '\n') {
            break;
        }
        (start, first) = (at, before);
    }
    start
}

/// The last bytes of a text turned around, if they and the one in front of them are ASCII that joins nothing; otherwise
/// where the last of them is that isn't.
fn short(text: &[u8], change: impl Fn(u8) -> u8) -> Result<[u8; SHORT], usize> {
    let (front, block) = text.split_last_chunk::<SHORT>().ok_or(0_usize)?;
    match block.iter().rposition(|letter| !single(*letter)) {
        Some(at) => Err(front.len() + at),
        // It might join the first one of the block.
        None if front.last().is_some_and(|letter| !single(*letter)) => Err(front.len() - 1),
        None => Ok(std::array::from_fn(|index| change(block[SHORT - 1 - index]))),
    }
}

/// Turns a block of ASCII around, and says whether it is something else.
fn turned<const SIZE: usize>(block: &[u8; SIZE], change: impl Fn(u8) -> u8) -> ([u8; SIZE], bool) {
    // Nothing in here depends on what is found, so that the compiler makes vectors of it. Upper-casing before turning
    // matters: what was just written in halves can't be read whole at once.
    let mut changed = [0; SIZE];
    let mut other = 0;
    for (changed, letter) in changed.iter_mut().zip(block) {
        other |= letter & 0x80 | u8::from(*letter == b'\r');
        *changed = change(*letter);
    }
    let mut reversed = [0; SIZE];
    for (eight, reversed) in changed.as_chunks::<8>().0.iter().rev().zip(reversed.as_chunks_mut::<8>().0) {
        *reversed = u64::from_be_bytes(*eight).to_le_bytes();
    }
    (reversed, other != 0)
}

/// Whether it is a character whose cluster has no other one, whatever stands in front of it.
fn single(letter: u8) -> bool {
    letter.is_ascii() && letter != b'\r'
}
