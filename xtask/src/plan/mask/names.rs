//! Which names say that what they name is a credential.

/// What gives a name away wherever it stands, also inside a word: `PGPASSWORD`.
const PARTS: [&str; 7] = ["PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "SECRET", "APIKEY", "ACCESSKEY"];

/// What gives a name away as a word of its own.
const WORDS: [&str; 5] = ["PASS", "PWD", "CREDS", "AUTHORIZATION", "JWT"];

/// Last words that name a place or a measure of the credential instead of itself.
const PLACES: [&str; 13] = [
    "NAME",
    "NAMES",
    "NAMESPACE",
    "FILE",
    "FILES",
    "FILENAME",
    "PATH",
    "DIR",
    "REF",
    "TTL",
    "SECONDS",
    "LENGTH",
    "EXPIRY",
];

/// What stands before `Key` in names like `apiKey`; `topologyKey` names no credential.
const KEYS: [&str; 9] = ["API", "ACCESS", "PRIVATE", "SIGNING", "ENCRYPTION", "MASTER", "SSH", "SHARED", "LICENSE"];

/// Whether a value of this name is a credential, as far as a name can tell.
pub(crate) fn is_credential(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if PLACES.contains(&last.as_str()) {
        return false;
    }
    let given_away = |word: &String| {
        PARTS.iter().any(|part| word.contains(part))
            || WORDS.contains(&word.as_str())
            || word.ends_with("TOKEN")
            || word.ends_with("TOKENS")
    };
    words.iter().any(given_away) || has_key(name, &words)
}

/// `API_KEY`, `signing-key`, `apiKey`, but neither `key` nor `topologyKey`.
fn has_key(name: &str, words: &[String]) -> bool {
    let is_key = |word: &String| matches!(word.as_str(), "KEY" | "KEYS");
    match name.contains(['_', '-', '.', '/']) {
        true if name.contains(|character: char| character.is_ascii_lowercase()) => {
            words.len() > 1 && words.last().is_some_and(is_key)
        }
        true => words.len() > 1 && words.iter().any(is_key),
        false => words.windows(2).any(|pair| is_key(&pair[1]) && KEYS.contains(&pair[0].as_str())),
    }
}

/// The words of a name in capitals, whatever separates them.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let begins = before.is_ascii_lowercase() && character.is_ascii_uppercase();
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_ascii_alphanumeric()) {
            word.push(character.to_ascii_uppercase());
        }
        before = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::is_credential;

    #[test]
    fn credentials_are_told_from_places_and_other_keys() {
        for name in [
            "DB_PASSWORD",
            "PGPASSWORD",
            "password",
            "TOKEN",
            "GITHUB_TOKEN_2",
            "accessToken",
            "GHTOKEN",
            "API_KEY",
            "ENCRYPTION_KEY_V2",
            "apiKey",
            "SECRET_KEY_BASE",
            "AWS_SECRET_ACCESS_KEY",
            "clientSecret",
            "signing-key",
            "Authorization",
            "db.pass",
            "MYSQL_PWD",
            "GOOGLE_CREDENTIALS",
            "example.com/api-token",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "secretName",
            "PASSWORD_FILE",
            "TOKEN_PATH",
            "topologyKey",
            "key",
            "KEY",
            "tokenExpirationSeconds",
            "tokenizer",
            "monkey",
            "compass",
            "bypass",
            "image",
            "",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
