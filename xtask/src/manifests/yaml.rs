//! YAML with the position of every node: errors in manifests name file, line and column.
//!
//! Scalars resolve as Kubernetes' own tools resolve them, which is YAML 1.2's core schema plus octal `0644`. The
//! words that only YAML 1.1 takes for booleans or dates (`yes`, `2026-01-31` …) are refused: kubectl reads them so.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::error::{Error, Place, Result};

/// How many nodes aliases may add to one file; a few nested aliases can otherwise fill the memory.
const ALIAS_BUDGET: usize = 100_000;

/// A line and a column, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The line.
    pub(crate) line: usize,
    /// The column, in characters.
    pub(crate) column: usize,
}

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) data: Data,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: Position,
    pub(crate) text: String,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.data, Data::Scalar(Value::Null))
    }

    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => items.iter().map(Self::to_value).collect(),
            Data::Map(entries) => Value::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// Where each field is written, by paths such as `spec.containers[0].image`: the API server's notation.
    pub(crate) fn positions(&self) -> BTreeMap<String, Position> {
        let mut found = BTreeMap::new();
        self.collect_positions(&mut String::new(), &mut found);
        found
    }

    fn collect_positions(&self, path: &mut String, found: &mut BTreeMap<String, Position>) {
        let length = path.len();
        match &self.data {
            Data::Scalar(_) => {}
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    found.insert(path.clone(), item.at);
                    item.collect_positions(path, found);
                    path.truncate(length);
                }
            }
            Data::Map(entries) => {
                for (key, node) in entries {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                    found.insert(path.clone(), key.at);
                    node.collect_positions(path, found);
                    path.truncate(length);
                }
            }
        }
    }
}

/// Reads every document of a file, leaving out the empty ones.
///
/// # Errors
/// `FILE:LINE:COLUMN: what is wrong`.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Node>> {
    let mut reader = Reader { file, parser: Parser::new_from_str(text), anchors: HashMap::new(), budget: ALIAS_BUDGET };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(..) => reader.anchors.clear(),
            event => {
                let node = reader.node(event, span)?;
                if !node.is_null() {
                    documents.push(node);
                }
            }
        }
    }
}

/// `FILE:LINE:COLUMN: what is wrong`, a mistake of whoever wrote the file.
pub(crate) fn wrong(file: &str, at: Position, what: impl std::fmt::Display) -> Error {
    let mut error = Error::usage(format!("{file}:{}:{}: {what}", at.line, at.column));
    error.places.push(Place { file: file.to_owned(), line: at.line, column: at.column, message: what.to_string() });
    error
}

struct Reader<'text> {
    file: &'text str,
    parser: Parser<'text, StrInput<'text>>,
    anchors: HashMap<usize, Node>,
    budget: usize,
}

impl<'text> Reader<'text> {
    fn next(&mut self) -> Result<(Event<'text>, Span)> {
        loop {
            let event = self.parser.next_event().unwrap_or_else(|| Ok((Event::StreamEnd, Span::default())));
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            // The rest is comments, which another crate may switch on in the parser, and marks of the stream.
            if is_data(&event) {
                return Ok((event, span));
            }
        }
    }

    fn syntax(&self, error: &ScanError) -> Error {
        wrong(self.file, position(error.marker()), error.info())
    }

    fn node(&mut self, event: Event<'text>, span: Span) -> Result<Node> {
        let at = position(&span.start);
        let (anchor, data) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, Data::Scalar(self.scalar(&text, style, tag.as_deref(), at)?))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, Data::List(self.list()?)),
            Event::MappingStart(_, anchor, _) => (anchor, Data::Map(self.map()?)),
            Event::Alias(id) => {
                // An alias inside its own anchor is not finished yet, hence not there.
                let node = self.anchors.get(&id).cloned();
                let node = node.ok_or_else(|| wrong(self.file, at, "an alias refers to the node that contains it"))?;
                self.budget = self
                    .budget
                    .checked_sub(count(&node))
                    .ok_or_else(|| wrong(self.file, at, "the aliases of this file expand to too many nodes"))?;
                return Ok(Node { at, data: node.data });
            }
            other => return Err(wrong(self.file, at, format_args!("unexpected {other:?}"))),
        };
        let node = Node { at, data };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(&span.start);
            let text = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<" => {
                    let (event, span) = self.next()?;
                    merged.extend(self.merge_sources(event, span)?);
                    continue;
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(wrong(self.file, at, "a key must be a string")),
            };
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                return Err(wrong(
                    self.file,
                    at,
                    format_args!("duplicate key `{text}`, first on line {}", first.at.line),
                ));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            entries.push((Key { at, text }, node));
        }
        // The mapping's own keys win over those that `<<` brings, an earlier source over a later one.
        for (key, node) in merged {
            if !entries.iter().any(|(own, _)| own.text == key.text) {
                entries.push((key, node));
            }
        }
        Ok(entries)
    }

    fn merge_sources(&mut self, event: Event<'text>, span: Span) -> Result<Vec<(Key, Node)>> {
        let node = self.node(event, span)?;
        let sources = match node.data {
            Data::Map(entries) => return Ok(entries),
            Data::List(items) => items,
            Data::Scalar(_) => return Err(wrong(self.file, node.at, "`<<` takes a mapping or a list of mappings")),
        };
        let mut entries = Vec::new();
        for source in sources {
            match source.data {
                Data::Map(more) => entries.extend(more),
                _ => return Err(wrong(self.file, source.at, "`<<` takes a mapping or a list of mappings")),
            }
        }
        Ok(entries)
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<Value> {
        match tag.map(|tag| tag.core_suffix().unwrap_or("?")) {
            Some("str") => return Ok(Value::String(text.to_owned())),
            Some("?") => return Err(wrong(self.file, at, "this tag is not supported")),
            Some(_) => {}
            None if style != ScalarStyle::Plain => return Ok(Value::String(text.to_owned())),
            None => {}
        }
        if matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off") && same_case(text) {
            let what =
                format!("`{text}` is a boolean in YAML 1.1 and a string in YAML 1.2: quote it, or write true or false");
            return Err(wrong(self.file, at, what));
        }
        if is_date(text) {
            return Err(wrong(self.file, at, format_args!("`{text}` is a date in YAML 1.1: quote it")));
        }
        resolve(text).ok_or_else(|| wrong(self.file, at, format_args!("`{text}` is not a number that JSON can hold")))
    }
}

fn is_data(event: &Event<'_>) -> bool {
    event.is_node()
        || matches!(event, Event::SequenceEnd | Event::MappingEnd | Event::StreamEnd | Event::DocumentStart(..))
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn count(node: &Node) -> usize {
    1 + match &node.data {
        Data::Scalar(_) => 0,
        Data::List(items) => items.iter().map(count).sum(),
        Data::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
    }
}

/// `yes`, `Yes` and `YES` are words of YAML 1.1, `yEs` is not.
fn same_case(text: &str) -> bool {
    let rest = &text[1..];
    rest == rest.to_ascii_lowercase() || text == text.to_ascii_uppercase()
}

/// kubectl would write `2026-01-31` as `2026-01-31T00:00:00Z`.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut digits = |count: std::ops::RangeInclusive<usize>| {
        parts.next().is_some_and(|part| {
            let day = part.split(['T', 't', ' ']).next().unwrap_or_default();
            count.contains(&day.len()) && day.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    digits(4..=4) && digits(1..=2) && digits(1..=2)
}

/// What a plain scalar means; nothing for numbers without a JSON form.
pub(crate) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "-.inf" | "-.Inf" | "-.INF" | "+.inf" | "+.Inf" | "+.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            return None;
        }
        _ => {}
    }
    Some(integer(text).or_else(|| float(text)).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        // `defaultMode: 0644` is 420 to every Kubernetes tool.
        Some(start) if start.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    if negative {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Number::from);
    }
    u64::from_str_radix(digits, radix).ok().map(Number::from)
}

fn float(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // Rust also reads `inf` and `nan`, which are strings here.
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || !digits.contains(|character: char| character.is_ascii_digit())
    {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Go's JSON writes a whole number without its fraction, and what is applied went through it.
    if value.fract() == 0.0 && value.abs() < 1e15 { Some(Number::from(value as i64)) } else { Number::from_f64(value) }
}

#[cfg(test)]
mod tests;
