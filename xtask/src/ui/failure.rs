//! An error as a person reads it.

use crate::error::Error;

/// `error:` and the message, the causes indented below it, `hint:` and what to type next.
pub(super) fn render(error: &Error, coloured: bool) -> String {
    let label = |text: &str, colour: &str| {
        if coloured { format!("\u{1b}[1;{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut text = format!("{} {}", label("error:", "31"), error.message);
    for line in error.causes.iter().flat_map(|cause| cause.lines()) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if let Some(hint) = &error.hint {
        text.push_str(&format!("\n{} {hint}", label("hint:", "36")));
    }
    text
}
