//! A plan as a comment of a pull request.

use super::{Action, Change, Plan};

/// GitHub takes 65,536 characters; a workflow that posts the text adds some of its own.
pub const LIMIT: usize = 65_000;

/// Is kept for saying what is left out.
const REST: usize = 200;

impl Plan {
    /// A heading, the counts, what is said beside the objects, and a part for each object that changes, all of it in at
    /// most `limit` characters: where there is no room for the fields of an object it is named only, and what cannot be
    /// named is counted.
    pub fn markdown(&self, title: &str, facts: &[(&str, String)], limit: usize) -> String {
        let mut text = format!("### {title}\n\n");
        for (name, fact) in facts {
            text.push_str(&format!("{name}: {}<br>\n", escape(fact)));
        }
        text.push_str(&format!("{}\n", self.summary()));
        let changes: Vec<&Change> = self.changes.iter().filter(|one| one.action != Action::Unchanged).collect();
        if changes.is_empty() && self.left.is_empty() {
            text.push_str("\nNothing changes.\n");
        }
        let (mut length, mut without_fields, mut unnamed) = (text.chars().count() + REST, 0, 0);
        let mut add = |part: String| {
            let fits = length + part.chars().count() <= limit;
            if fits {
                length += part.chars().count();
                text.push_str(&part);
            }
            fits
        };
        for change in changes {
            match (add(part(change)), change.fields().is_empty()) {
                (true, _) => {}
                (false, false) if add(brief(change)) => without_fields += 1,
                (false, _) => unnamed += 1,
            }
        }
        for object in &self.left {
            let stays = format!("\n- {} stays though no manifest has it\n", escape(&object.to_string()));
            unnamed += usize::from(!add(stays));
        }
        let all = "`cargo xtask plan` shows all.";
        match (without_fields, unnamed) {
            (0, 0) => {}
            (fields, 0) => text.push_str(&format!("\nThe fields of {fields} are not shown: {all}\n")),
            (0, more) => text.push_str(&format!("\n{more} more are not shown: {all}\n")),
            (fields, more) => {
                text.push_str(&format!("\nThe fields of {fields} and {more} more objects are not shown: {all}\n"));
            }
        }
        text
    }
}

fn part(change: &Change) -> String {
    let fields = change.fields();
    if fields.is_empty() {
        return brief(change);
    }
    let name = escape(&change.object.to_string());
    let word = word(&change.action);
    let lines: String = fields.iter().map(|field| format!("{}\n", fence_safe(&field.to_string()))).collect();
    let what = count(fields.len());
    format!("\n<details><summary>{word} <b>{name}</b>, {what}</summary>\n\n```\n{lines}```\n\n</details>\n")
}

/// Without its fields.
fn brief(change: &Change) -> String {
    let (word, name) = (word(&change.action), escape(&change.object.to_string()));
    match change.fields().len() {
        0 => format!("\n- {word} **{name}**\n"),
        fields => format!("\n- {word} **{name}**, {}\n", count(fields)),
    }
}

fn count(fields: usize) -> String {
    if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") }
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update { .. } => "change",
        Action::Replace { .. } => "delete and create again",
        Action::Delete => "delete",
        Action::Unchanged => "leave",
    }
}

/// Nothing of a name or a value is markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['`', '*', '|'], " ")
}

/// Nothing of a value ends the block that it stands in.
fn fence_safe(text: &str) -> String {
    text.replace("```", "'''")
}
