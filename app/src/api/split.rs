//! Finding the items of a batch as it arrives, without holding more of it than one item.

/// How the items are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A JSON array.
    Array,
    /// A line each; empty ones are none.
    Lines,
}

/// What is found.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// The text of one, which may be no JSON.
    Text(Vec<u8>),
    /// One that is larger than the limit.
    TooLarge,
}

/// What can't be an array, with the bytes in front of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In front of the array.
    Front,
    /// After `[`, where there may also be its end.
    First,
    /// In an item, or in front of it.
    Item,
    /// Behind the array.
    End,
}

/// Cuts a stream of bytes into items.
#[derive(Debug)]
pub struct Splitter {
    kind: Kind,
    limit: usize,
    place: Place,
    item: Vec<u8>,
    too_large: bool,
    depth: u64,
    string: bool,
    escaped: bool,
    seen: u64,
}

impl Splitter {
    /// Items have `limit` bytes at most.
    pub fn new(kind: Kind, limit: usize) -> Self {
        Self {
            kind,
            limit,
            place: if kind == Kind::Array { Place::Front } else { Place::Item },
            item: Vec::new(),
            too_large: false,
            depth: 0,
            string: false,
            escaped: false,
            seen: 0,
        }
    }

    /// The next item that ends in these bytes, which are taken off as far as they have been looked at.
    ///
    /// # Errors
    /// When they can't belong to an array.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Item>, Malformed> {
        while let Some((byte, rest)) = bytes.split_first() {
            let found = match self.kind {
                Kind::Lines => self.line(*byte),
                Kind::Array => self.element(*byte)?,
            };
            self.seen += 1;
            *bytes = rest;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What is left when the stream has ended: a last line may do without a line break.
    ///
    /// # Errors
    /// When the array has no end.
    pub fn end(&mut self) -> Result<Option<Item>, Malformed> {
        match self.kind {
            Kind::Lines => Ok(self.line(b'\n')),
            Kind::Array if self.place == Place::End => Ok(None),
            Kind::Array => Err(Malformed(self.seen)),
        }
    }

    fn line(&mut self, byte: u8) -> Option<Item> {
        if byte != b'\n' {
            self.keep(byte);
            return None;
        }
        if !self.too_large && self.item.trim_ascii().is_empty() {
            self.item.clear();
            return None;
        }
        Some(self.take())
    }

    /// Brackets outside of texts tell where an element ends; whether it is one is seen when it is read.
    fn element(&mut self, byte: u8) -> Result<Option<Item>, Malformed> {
        let malformed = Err(Malformed(self.seen));
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.place {
            _ if space && !self.string && (self.item.is_empty() || self.place != Place::Item) => Ok(None),
            Place::Front if byte == b'[' => {
                self.place = Place::First;
                Ok(None)
            }
            Place::First if byte == b']' => {
                self.place = Place::End;
                Ok(None)
            }
            Place::Front | Place::End => malformed,
            Place::First | Place::Item => {
                self.place = Place::Item;
                if self.string {
                    self.string = self.escaped || byte != b'"';
                    self.escaped = !self.escaped && byte == b'\\';
                } else {
                    match byte {
                        b'"' => self.string = true,
                        b'[' | b'{' => self.depth += 1,
                        b',' | b']' if self.depth == 0 => {
                            if self.item.is_empty() && !self.too_large {
                                return malformed;
                            }
                            if byte == b']' {
                                self.place = Place::End;
                            }
                            return Ok(Some(self.take()));
                        }
                        b']' | b'}' => match self.depth.checked_sub(1) {
                            Some(depth) => self.depth = depth,
                            None => return malformed,
                        },
                        _ => {}
                    }
                }
                self.keep(byte);
                Ok(None)
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.item.len() < self.limit && !self.too_large {
            self.item.push(byte);
        } else {
            self.item = Vec::new();
            self.too_large = true;
        }
    }

    fn take(&mut self) -> Item {
        let text = std::mem::take(&mut self.item);
        if std::mem::take(&mut self.too_large) { Item::TooLarge } else { Item::Text(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a text that arrives in pieces of a size.
    fn split(kind: Kind, text: &str, size: usize) -> Result<Vec<Item>, Malformed> {
        let mut splitter = Splitter::new(kind, 16);
        let mut items = Vec::new();
        for mut piece in text.as_bytes().chunks(size) {
            while let Some(item) = splitter.next(&mut piece)? {
                items.push(item);
            }
        }
        items.extend(splitter.end()?);
        Ok(items)
    }

    fn texts(items: &[&str]) -> Vec<Item> {
        items.iter().map(|text| Item::Text(text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn items_are_found_however_they_arrive() {
        for size in 1..9 {
            for (text, expected) in [
                ("[]", vec![]),
                (" [ ] \n", vec![]),
                ("[1]", vec!["1"]),
                (r#"[ {"a": "],"} , [1,2] ,"\"\\" ]"#, vec![r#"{"a": "],"} "#, "[1,2] ", r#""\"\\" "#]),
            ] {
                assert_eq!(split(Kind::Array, text, size), Ok(texts(&expected)), "{text}");
            }
            assert_eq!(split(Kind::Lines, "1\r\n\n \n{}\n[3]", size), Ok(texts(&["1\r", "{}", "[3]"])));
            assert_eq!(split(Kind::Lines, "", size), Ok(vec![]));
            let long = "x".repeat(17);
            let expected = vec![Item::TooLarge, Item::Text(b"1".to_vec())];
            assert_eq!(split(Kind::Lines, &format!("{long}\n1"), size), Ok(expected));
            let expected = vec![Item::TooLarge, Item::Text(b"1".to_vec())];
            assert_eq!(split(Kind::Array, &format!("[\"{long}\",1]"), size), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_array_is_told_at_its_place() {
        for (text, at) in [("", 0), ("{}", 0), ("[1", 2), ("[,1]", 1), ("[1,]", 3), ("[1]]", 3), ("[}", 1), ("[\"", 2)]
        {
            assert_eq!(split(Kind::Array, text, 3), Err(Malformed(at)), "{text}");
        }
    }
}
