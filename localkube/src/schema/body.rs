//! Request bodies: JSON and YAML with the duplicate fields noted, and Go's words for what can't be read.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A body and the paths of the fields that it has twice.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) value: Value,
    pub(crate) duplicates: Vec<String>,
}

/// Why a body can't be read, worded as Go's decoders word it.
#[derive(Debug, PartialEq)]
pub(crate) struct ParseError(pub(crate) String);

/// Reads a body of JSON.
pub(crate) fn parse_json(body: &[u8]) -> Result<Parsed, ParseError> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Tree { path: String::new(), duplicates: &mut duplicates };
    let value = seed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| ParseError(scan(body).err().unwrap_or_else(|| error.to_string())))?;
    Ok(Parsed { value, duplicates })
}

/// Reads a body of YAML.
pub(crate) fn parse_yaml(body: &[u8]) -> Result<Parsed, ParseError> {
    let mut duplicates = Vec::new();
    let text = std::str::from_utf8(body).map_err(|_| yaml_error("control characters are not allowed"))?;
    let seed = Tree { path: String::new(), duplicates: &mut duplicates };
    let value = seed.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let text = error.to_string();
        let words = text.split(" at line ").next().unwrap_or(&text);
        // Go's decoder names the line from the second on.
        if line > 1 { yaml_error(&format!("line {line}: {words}")) } else { yaml_error(words) }
    })?;
    Ok(Parsed { value, duplicates })
}

fn yaml_error(words: &str) -> ParseError {
    ParseError(format!("error converting YAML to JSON: yaml: {words}"))
}

/// Builds a [`Value`] and notes duplicates, which `Value`'s own deserialisation forgets.
struct Tree<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, items.len());
            let Some(item) = access.next_element_seed(Tree { path, duplicates: self.duplicates })? else {
                return Ok(Value::Array(items));
            };
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(Key)? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if map.contains_key(&key) {
                self.duplicates.push(path.clone());
            }
            let value = access.next_value_seed(Tree { path, duplicates: self.duplicates })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A map's key. YAML has keys that are not strings; JSON made of it has their text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let mut none = Vec::new();
        let value = deserializer.deserialize_any(Tree { path: String::new(), duplicates: &mut none })?;
        Ok(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

/// Reads JSON as Go's scanner does, for the words of its errors only.
fn scan(body: &[u8]) -> Result<(), String> {
    let mut scanner = Scanner { body, at: 0, depth: 0 };
    scanner.value()?;
    match scanner.next() {
        None => Ok(()),
        Some(byte) => Err(invalid(byte, "after top-level value")),
    }
}

fn invalid(byte: u8, context: &str) -> String {
    let quoted = match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        0x00..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    };
    format!("invalid character {quoted} {context}")
}

/// Deeper nesting is refused by the parser, and must not exhaust the stack here.
const MAX_DEPTH: usize = 128;

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        let skipped = self.body[self.at..].iter().position(|byte| !b" \t\r\n".contains(byte));
        self.at = skipped.map_or(self.body.len(), |skipped| self.at + skipped + 1);
        skipped.map(|_| self.body[self.at - 1])
    }

    fn need(&mut self) -> Result<u8, String> {
        self.next().ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    fn raw(&mut self) -> Result<u8, String> {
        let byte = self.body.get(self.at).copied().ok_or("unexpected end of JSON input")?;
        self.at += 1;
        Ok(byte)
    }

    fn value(&mut self) -> Result<(), String> {
        let byte = self.need()?;
        self.value_from(byte)
    }

    fn value_from(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'{' | b'[' if self.depth == MAX_DEPTH => Err("exceeded max depth".to_owned()),
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(byte),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), String> {
        let mut byte = self.need()?;
        if byte == b'}' {
            return Ok(());
        }
        loop {
            if byte != b'"' {
                return Err(invalid(byte, "looking for beginning of object key string"));
            }
            self.string()?;
            match self.need()? {
                b':' => self.value()?,
                other => return Err(invalid(other, "after object key")),
            }
            match self.need()? {
                b'}' => return Ok(()),
                b',' => byte = self.need()?,
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Result<(), String> {
        let mut byte = self.need()?;
        if byte == b']' {
            return Ok(());
        }
        loop {
            self.value_from(byte)?;
            match self.need()? {
                b']' => return Ok(()),
                b',' => byte = self.need()?,
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.raw()? {
                b'"' => return Ok(()),
                b'\\' => match self.raw()? {
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.raw()?;
                            if !digit.is_ascii_hexdigit() {
                                return Err(invalid(digit, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    other => return Err(invalid(other, "in string escape code")),
                },
                control @ 0..0x20 => return Err(invalid(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.raw()?;
            if byte != expected {
                return Err(invalid(byte, &format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        if first == b'-' && !self.raw()?.is_ascii_digit() {
            return Err(invalid(self.body[self.at - 1], "in numeric literal"));
        }
        let mut previous = b'0';
        while let Some(byte) = self.body.get(self.at).copied().filter(|byte| b"0123456789.eE+-".contains(byte)) {
            previous = byte;
            self.at += 1;
        }
        if previous.is_ascii_digit() { Ok(()) } else { Err("unexpected end of JSON input".to_owned()) }
    }
}
