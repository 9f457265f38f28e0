//! BuildKit's progress, as its `StatusResponse` message (api/services/control/control.proto): vertexes are steps, logs
//! are what their commands write.

use base64::Engine as _;

/// The steps that begin or fail and the output in one message, as lines.
pub(super) fn lines(trace: &str) -> Vec<String> {
    let message = base64::engine::general_purpose::STANDARD.decode(trace).unwrap_or_default();
    let mut lines = Vec::new();
    for (field, value) in Fields(&message) {
        match field {
            1 => lines.extend(vertex(value)),
            3 => lines.extend(log(value)),
            _ => {}
        }
    }
    lines
}

fn vertex(message: &[u8]) -> Vec<String> {
    let text =
        |wanted| Fields(message).find(|(field, _)| *field == wanted).map(|(_, value)| String::from_utf8_lossy(value));
    let name = text(3).unwrap_or_default();
    match (text(5), text(6), text(7)) {
        (_, _, Some(error)) if !error.is_empty() => vec![format!("{name}: {error}")],
        // Sent again and again; the one that tells of the end says nothing new.
        (Some(_), None, _) => vec![name.into_owned()],
        _ => Vec::new(),
    }
}

fn log(message: &[u8]) -> Vec<String> {
    let text = Fields(message).find(|(field, _)| *field == 4).map(|(_, value)| String::from_utf8_lossy(value));
    text.unwrap_or_default().lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The length-delimited fields of a protobuf message; numbers are skipped, and what is malformed ends it.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.number()?;
            match key & 7 {
                0 => {
                    self.number()?;
                }
                1 => self.0 = self.0.get(8..)?,
                2 => {
                    let length = usize::try_from(self.number()?).ok()?;
                    let (value, rest) = self.0.split_at_checked(length)?;
                    self.0 = rest;
                    return Some((key >> 3, value));
                }
                5 => self.0 = self.0.get(4..)?,
                _ => return None,
            }
        }
    }
}

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    /// Messages of Docker Engine 20.10, whose step fails.
    #[test]
    fn steps_and_their_errors_are_read() {
        let begins = "CrkBCkdzaGEyNTY6YTEwMjMxZGY5M2QxOGY3ZmQ0NjEyOWUwOTdiYWM4ZGYxN2FjYzlkNDQ1NzgxMjM5Mzk5ZmQ1NTZhYTEz\
            ZThlYRJHc2hhMjU2OmFkYWQ4Nzc1NTNiMTFhNTkyODhhNzE2YzM5MGQyZDJmNjNkMWRkYTIwNjhlNGI1MmM2YWNiNWE2ZmMxODA0NDQaF1tv\
            bmUgMS8xXSBDT1BZIGEudHh0IC9hKgwI//WE2AYQyNXXuAI=";
        assert_eq!(lines(begins), ["[one 1/1] COPY a.txt /a"]);
        let fails = "CuYBCkdzaGEyNTY6ZWM4ZjIzODRjMmZkY2VjMzUzYTZlY2MyODY4Y2U1YmIwMWQ1YWE3OWU5N2I1MmQ4NWRjMDAzMzBmNDk0MDJm\
            OBJHc2hhMjU2Ojc1MTJhYWE1MDNkOWMzMjMyMTE4YjFjZTM1YjczMjc3ZWUxZmFlMGJhYzRkZTBlNDhjNTQ0ZmRiZDg3OTY3NWYaF1tvbmUg\
            MS8xXSBDT1BZIGIudHh0IC9hKgwI//WE2AYQ7MHFggMyDAj/9YTYBhD72sWCAzodIi9iLnR4dCIgbm90IGZvdW5kOiBub3QgZm91bmQ=";
        assert_eq!(lines(fails), ["[one 1/1] COPY b.txt /a: \"/b.txt\" not found: not found"]);
        assert!(lines("").is_empty() && lines("////").is_empty() && lines("no base64!").is_empty());
    }
}
