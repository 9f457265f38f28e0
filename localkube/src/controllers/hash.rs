//! Names for pod templates.

use serde::Serialize;

/// A short name for the template. Kubernetes hashes a printout of its Go structures, which nothing else can repeat;
/// this hashes the JSON in the same way and writes it in the same alphabet. Nothing compares it: what was made from a template is
/// recognised by the template.
pub(crate) fn hash(template: &impl Serialize, collisions: Option<i32>) -> String {
    // FNV-1a, 32 bits.
    let mut state: u32 = 0x811c_9dc5;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    mix(&serde_json::to_vec(template).expect("a template is made of strings and numbers"));
    if let Some(collisions) = collisions {
        mix(&collisions.to_le_bytes());
    }
    // rand.SafeEncodeString: no vowels and no look-alikes, so that no words come out.
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    state.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}
