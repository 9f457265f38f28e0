//! Workflow commands of GitHub Actions, which put an error beside the line it is about.
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use crate::error::Error;

/// The annotations of an error, one workflow command a line.
pub(super) fn annotations(error: &Error) -> Vec<String> {
    if error.places.is_empty() {
        let message = std::iter::once(&error.message).chain(&error.causes).cloned().collect::<Vec<_>>().join("\n");
        return vec![format!("::error title=xtask::{}", escape_data(&message))];
    }
    error
        .places
        .iter()
        .map(|place| {
            format!(
                "::error file={},line={},col={}::{}",
                escape_property(&place.file),
                place.line,
                place.column,
                escape_data(&place.message)
            )
        })
        .collect()
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
