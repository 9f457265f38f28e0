//! Reading one setting after the other, and remembering what was read and everything that was wrong.

use std::{collections::BTreeMap, fmt, time::Duration};

use hyper::Uri;

use super::{
    file,
    secret::{MASK, Secret},
};

/// Reads settings. The parts take theirs from it in turn; at the end it tells every mistake.
pub(super) struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: BTreeMap<String, String>,
    path: String,
    errors: Vec<String>,
    effective: Vec<Effective>,
}

/// What holds for one setting.
#[derive(Debug, Clone)]
pub(super) struct Effective {
    name: &'static str,
    /// Masked, if it is a secret.
    value: Option<String>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    File,
    Environment,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader =
            Self { environment, file: BTreeMap::new(), path: String::new(), errors: Vec::new(), effective: Vec::new() };
        if let Some(path) = environment("CONFIG_FILE").filter(|path| !path.is_empty()) {
            match file::read(&path) {
                Ok(settings) => reader.file = settings,
                Err(error) => reader.errors.push(error),
            }
            reader.path = path;
        }
        reader
    }

    /// A setting that has a default, written as a person would write it.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        let (given, origin) = self.find(name);
        let text = given.unwrap_or_else(|| default.to_owned());
        let value = self.check(name, what, &text, origin, &parse);
        self.effective.push(Effective { name, value: Some(text), origin });
        value.unwrap_or_else(|| parse(default).expect("a default is valid"))
    }

    /// A setting that need not be there.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, origin) = self.find(name);
        let value = text.as_deref().and_then(|text| self.check(name, what, text, origin, &parse));
        self.effective.push(Effective { name, value: text, origin });
        value
    }

    /// A setting that need not be there and that nobody may see, not even when it is wrong.
    pub(super) fn secret<T>(
        &mut self,
        name: &'static str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Secret<T>> {
        let (text, origin) = self.find(name);
        let value = text.as_deref().map(&parse);
        if let Some(None) = value {
            self.errors.push(format!("{name} must be {what}, got what is not shown here{}", self.place(origin)));
        }
        self.effective.push(Effective { name, value: text.map(|_| MASK.to_owned()), origin });
        value.flatten().map(Secret::new)
    }

    /// A duration, by default as given.
    pub(super) fn duration(&mut self, name: &'static str, default: &str) -> Duration {
        self.value(name, default, "a duration such as 5s or 500ms, an hour at most", duration)
    }

    /// A number of bytes from 1 to `most`, by default as given.
    pub(super) fn bytes(&mut self, name: &'static str, default: &str, most: u64) -> usize {
        let what = format!("a size such as 64KiB or 1MiB, from 1 to {most} bytes");
        self.value(name, default, &what, |text| {
            let size = bytes(text).filter(|size| (1..=most).contains(size))?;
            usize::try_from(size).ok()
        })
    }

    /// A number from `least` to `most`, by default as given.
    pub(super) fn number(&mut self, name: &'static str, default: &str, least: u32, most: u32) -> u32 {
        let what = format!("a number from {least} to {most}");
        self.value(name, default, &what, |text| text.parse().ok().filter(|number| (least..=most).contains(number)))
    }

    /// `true` or `false`, by default as given.
    pub(super) fn flag(&mut self, name: &'static str, default: &str) -> bool {
        self.value(name, default, "true or false", |text| text.parse().ok())
    }

    /// A URL to ask others at, which need not be there. A password in it would be shown.
    pub(super) fn url(&mut self, name: &'static str) -> Option<Uri> {
        self.optional(name, "a URL of http or https without user and password", |text| {
            let uri: Uri = text.parse().ok()?;
            let taken = matches!(uri.scheme_str()?, "http" | "https") && !uri.authority()?.as_str().contains('@');
            taken.then_some(uri)
        })
    }

    /// Something that settings break only together.
    pub(super) fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.errors.push(message());
        }
    }

    /// What holds for every setting that was read.
    ///
    /// # Errors
    /// Every mistake, and what the file has that nobody read.
    pub(super) fn end(mut self) -> Result<Vec<Effective>, Vec<String>> {
        for name in self.file.keys().filter(|name| !self.effective.iter().any(|setting| setting.name == **name)) {
            self.errors.push(format!("{} is no setting ({})", name.to_ascii_lowercase(), self.path));
        }
        if self.errors.is_empty() { Ok(self.effective) } else { Err(self.errors) }
    }

    fn find(&self, name: &str) -> (Option<String>, Origin) {
        let set = |text: &String| !text.is_empty();
        if let Some(text) = (self.environment)(name).filter(set) {
            return (Some(text), Origin::Environment);
        }
        match self.file.get(name).filter(|text| set(text)) {
            Some(text) => (Some(text.clone()), Origin::File),
            None => (None, Origin::Default),
        }
    }

    fn check<T>(
        &mut self,
        name: &str,
        what: &str,
        text: &str,
        origin: Origin,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.errors.push(format!("{name} must be {what}, got {text:?}{}", self.place(origin)));
        }
        value
    }

    fn place(&self, origin: Origin) -> String {
        if origin == Origin::File { format!(" ({})", self.path) } else { String::new() }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.to_ascii_lowercase();
        let Some(value) = &self.value else { return write!(formatter, "# {name} is not set") };
        let origin = match self.origin {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::Environment => "environment",
        };
        // A text in JSON is one in YAML, whatever is in it.
        write!(formatter, "{name}: {} # {origin}", serde_json::Value::from(value.as_str()))
    }
}

/// A whole number of `ms`, `s` or `m`; a bare number counts seconds.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    };
    (duration <= Duration::from_secs(3600)).then_some(duration)
}

/// A whole number of `KiB`, `MiB` or `GiB`; a bare number counts bytes.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    Some((text[..text.len() - unit.len()].parse().ok()?, unit))
}
