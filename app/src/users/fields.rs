//! What a user may be called and how hard a password must be to guess.

use email_address::{EmailAddress, Options};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

/// RFC 5321 section 4.5.3.1.3: a path of 256 characters less its angle brackets.
const EMAIL_LIMIT: usize = 254;
const NAME_LIMIT: usize = 100;
/// NIST SP 800-63B-4 section 3.1.1.2 asks for no less than 8 beside another factor; there is none here, and the guesses
/// are counted as well.
const PASSWORD_LEAST: usize = 10;
/// Beyond it nothing is gained, and estimating and hashing take longer.
const PASSWORD_LIMIT: usize = 128;

/// What is wrong with which field.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<Value>);

impl Complaints {
    /// Takes a field's value, or remembers what is wrong with it.
    pub(super) fn take<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.0.push(json!({"field": field, "detail": detail}))).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they are shown.
    pub(super) fn list(self) -> Value {
        self.0.into()
    }
}

/// An e-mail address as it is kept and compared: in small letters. It is one of ASCII; a domain of other letters has a
/// form in these (RFC 5891).
pub(crate) fn email(text: &str) -> Result<String, String> {
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    let valid = text.is_ascii() && text.len() <= EMAIL_LIMIT && EmailAddress::parse_with_options(text, options).is_ok();
    if valid { Ok(text.to_ascii_lowercase()) } else { Err("must be an e-mail address such as ada@example.com".into()) }
}

/// A name that a person can see: what surrounds it is cut off.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    // A cluster has any number of marks; so its bytes are counted too (VARCHAR(200) has as many characters).
    let short = text.graphemes(true).count() <= NAME_LIMIT && text.chars().count() <= 2 * NAME_LIMIT;
    if text.is_empty() || !short || text.chars().any(char::is_control) {
        return Err(format!("must have 1 to {NAME_LIMIT} characters, none of them a control character"));
    }
    Ok(text.to_owned())
}

/// A password of a length that can be dealt with; whether it can be guessed is [`guessable`]'s to say.
pub(crate) fn password(text: String) -> Result<String, String> {
    let length = text.chars().count();
    if (PASSWORD_LEAST..=PASSWORD_LIMIT).contains(&length) && !text.contains('\0') {
        return Ok(text);
    }
    Err(format!("must have {PASSWORD_LEAST} to {PASSWORD_LIMIT} characters"))
}

/// Why a password is found within some 10^8 guesses, knowing whose it is. Takes milliseconds.
pub(super) fn guessable(password: &str, email: &str, name: &str) -> Option<String> {
    let local = email.split('@').next().unwrap_or_default();
    let about: Vec<&str> = [email, local, name].into_iter().chain(name.split_whitespace()).collect();
    let estimate = zxcvbn::zxcvbn(password, &about);
    if estimate.score() >= zxcvbn::Score::Three {
        return None;
    }
    let warning = estimate.feedback().and_then(|feedback| feedback.warning()).map(|warning| format!(": {warning}"));
    Some(format!("is too easy to guess{}", warning.unwrap_or_default().trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_lowered() {
        assert_eq!(email("Ada.Lovelace+x@Example.COM").unwrap(), "ada.lovelace+x@example.com");
        let long = format!("{}@{}.example.com", "a".repeat(64), "b".repeat(63));
        assert!(email(&long).is_ok());
        let longer = format!("{}@{}example.com", "a".repeat(64), "b.".repeat(100));
        for bad in ["", "ada", "@example.com", "ada@", "ada@example", "a b@example.com", "Ada <ada@example.com>"]
            .into_iter()
            .chain(["ada@[127.0.0.1]", "ädä@example.com", "ada@example.com\n", "ada@@example.com", &longer])
        {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_counted_as_people_do() {
        assert_eq!(name("  Ada \u{3000}").unwrap(), "Ada");
        assert!(name(&"👍🏽".repeat(100)).is_ok());
        for bad in ["", " \t ", "a\u{0}b", "a\nb", &"x".repeat(101), &format!("e{}", "\u{301}".repeat(200))] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_long_enough_and_hard_to_guess() {
        assert!(password("123456789".into()).is_err());
        assert!(password("ö".repeat(10)).is_ok());
        assert!(password("x".repeat(129)).is_err());
        for weak in ["password12", "qwertyuiop", "aaaaaaaaaaaaaaa", "Lovelace12", "ada@example.com"] {
            assert!(guessable(weak, "ada@example.com", "Ada Lovelace").is_some(), "{weak}");
        }
        assert_eq!(guessable("correct horse battery staple", "ada@example.com", "Ada"), None);
        assert_eq!(guessable("jk4W-9qzp!Lm", "ada@example.com", "Ada"), None);
    }
}
