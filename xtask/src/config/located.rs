//! YAML as a tree whose every node knows its line and column.

use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput};

/// A place in the text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text; `plain` when it is not quoted, so that `true`, `null` and numbers are meant as such.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

/// What is wrong with the text as YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Position,
    pub(super) message: String,
}

/// Reads one document; `None` when it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options) };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (_, span) if root.is_some() => {
                return Err(SyntaxError { at: position(span.start), message: "a second document".into() });
            }
            (event, span) => root = Some(reader.node(event, span)?),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next() {
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(SyntaxError { at: position(*error.marker()), message: error.info() }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, SyntaxError> {
        let at = position(span.start);
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::Sequence(items),
                        (event, span) => items.push(self.node(event, span)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping()?,
            Event::Alias(_) => {
                return Err(SyntaxError { at, message: "anchors and aliases are not supported".into() });
            }
            _ => return Err(SyntaxError { at, message: "a value was expected".into() }),
        };
        Ok(Node { at, value })
    }

    fn mapping(&mut self) -> Result<Value, SyntaxError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(span.start);
            let key = match event {
                Event::MappingEnd => return Ok(Value::Mapping(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(SyntaxError { at, message: "a key must be text".into() }),
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("key `{key}` was given before, on line {}", first.at.line);
                return Err(SyntaxError { at, message });
            }
            let (event, span) = self.next()?;
            entries.push(Entry { key, at, node: self.node(event, span)? });
        }
    }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

impl Node {
    /// Whether nothing was written, or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, for people.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The same value as JSON, by the core schema of YAML 1.2.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => serde_json::Value::Null,
            Value::Scalar { text, plain: true } => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                _ => text.parse::<serde_json::Number>().map_or_else(|_| text.as_str().into(), Into::into),
            },
            Value::Scalar { text, plain: false } => text.as_str().into(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
