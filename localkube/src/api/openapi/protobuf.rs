//! OpenAPI v2 in protobuf, with the field numbers of gnostic's `openapi.v2` package. What its readers look at: types,
//! references and the extensions that carry kinds, list keys and merge keys.

use serde_json::Value;

/// `Document`.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.part(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    // Readers expect it, empty as it may be.
    message.part(8, |_| {});
    message.part(9, |definitions| definitions.schemas(&document["definitions"]));
    message.0
}

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.push(0x80 | (number & 0x7f) as u8);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, field: usize, bytes: &[u8]) {
        // Wire type 2: a length and as many bytes.
        self.number((field << 3) | 2);
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn flag(&mut self, field: usize) {
        self.number(field << 3);
        self.number(1);
    }

    fn part(&mut self, field: usize, fill: impl FnOnce(&mut Self)) {
        let mut part = Self::default();
        fill(&mut part);
        self.bytes(field, &part.0);
    }

    fn text(&mut self, field: usize, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// A map of schemas: `NamedSchema`, as often as there are some.
    fn schemas(&mut self, schemas: &Value) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            self.part(1, |named| {
                named.bytes(1, name.as_bytes());
                named.part(2, |inner| inner.schema(schema));
            });
        }
    }

    fn schema(&mut self, schema: &Value) {
        self.text(1, &schema["$ref"]);
        self.text(2, &schema["format"]);
        self.text(4, &schema["description"]);
        for name in schema["required"].as_array().into_iter().flatten() {
            self.text(19, name);
        }
        match &schema["additionalProperties"] {
            of @ Value::Object(_) => self.part(21, |item| item.part(1, |inner| inner.schema(of))),
            Value::Bool(true) => self.part(21, |item| item.flag(2)),
            _ => {}
        }
        if schema["type"].is_string() {
            self.part(22, |item| item.text(1, &schema["type"]));
        }
        if schema["items"].is_object() {
            self.part(23, |item| item.part(1, |inner| inner.schema(&schema["items"])));
        }
        if schema["properties"].is_object() {
            self.part(25, |properties| properties.schemas(&schema["properties"]));
        }
        let extensions = schema.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
        for (name, value) in extensions {
            self.part(31, |named| {
                named.bytes(1, name.as_bytes());
                // JSON is YAML, which is what the readers expect in an `Any`.
                named.part(2, |any| any.bytes(2, value.to_string().as_bytes()));
            });
        }
    }
}
