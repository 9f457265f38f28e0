//! Objects as YAML that every reader takes alike: what YAML 1.1 reads as something else than a string is quoted.

use serde_json::Value;

/// Words that are no strings in YAML 1.1 or 1.2.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// One document, its keys in alphabetical order, with an end of line.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    node(value, 0, false, &mut text);
    text
}

/// Writes a node; `inline` if something stands before it on the line.
fn node(value: &Value, indent: usize, inline: bool, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 || !inline {
                    text.push_str(&" ".repeat(indent));
                }
                string(key, None, text);
                text.push(':');
                field(value, indent, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !inline {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str("- ");
                node(item, indent + 2, true, text);
            }
        }
        scalar => {
            match scalar {
                Value::String(content) => string(content, Some(indent), text),
                Value::Object(_) => text.push_str("{}"),
                Value::Array(_) => text.push_str("[]"),
                other => text.push_str(&other.to_string()),
            }
            text.push('\n');
        }
    }
}

fn field(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            node(value, indent + 2, false, text);
        }
        // kubectl does not indent lists.
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            node(value, indent, false, text);
        }
        scalar => {
            text.push(' ');
            node(scalar, indent + 2, true, text);
        }
    }
}

/// Writes a string: plain if it cannot be taken for anything else, as a block if it has lines, else quoted.
fn string(content: &str, block: Option<usize>, text: &mut String) {
    // Numbers and dates begin with a digit and hold no slash; a colon only means something before a space.
    let is_plain = content.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && (content.contains('/') || !content.starts_with(|first: char| first.is_ascii_digit()))
        && content.chars().all(|character| character.is_ascii_alphanumeric() || "_./-:@".contains(character))
        && !content.ends_with(':')
        && !WORDS.contains(&content.to_ascii_lowercase().as_str());
    if is_plain {
        text.push_str(content);
        return;
    }
    match block {
        Some(indent) if is_block(content) => {
            text.push_str(if content.ends_with('\n') { "|" } else { "|-" });
            for line in content.strip_suffix('\n').unwrap_or(content).split('\n') {
                text.push('\n');
                if !line.is_empty() {
                    text.push_str(&" ".repeat(indent));
                    text.push_str(line);
                }
            }
        }
        // A JSON string is a YAML string.
        _ => text.push_str(&Value::from(content).to_string()),
    }
}

/// Whether a literal block says exactly this.
fn is_block(content: &str) -> bool {
    content.trim_end_matches('\n').contains('\n')
        && !content.starts_with([' ', '\n'])
        && !content.ends_with("\n\n")
        && content.split('\n').all(|line| !line.ends_with(' '))
        && content.chars().all(|character| character == '\n' || (!character.is_control() && character != '\u{feff}'))
        && !content.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}
