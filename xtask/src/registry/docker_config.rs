//! What `docker login` left: `config.json` and the programs that keep credentials for it
//! (<https://docs.docker.com/reference/cli/docker/login/#credential-stores>).

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::credentials::Login;
use crate::{
    config::variables,
    error::{Error, Result},
    ui::Secret,
};

/// Docker Hub's name in `config.json`, for historical reasons.
pub(super) const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// A helper may ask its user to unlock a keychain.
const HELPER: Duration = Duration::from_secs(60);

/// The part of `config.json` that matters here. It holds credentials and is never printed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What Docker would show to this registry; nothing where nobody has logged in.
///
/// # Errors
/// The file or the helper that it names cannot be used.
pub(super) async fn find(host: &str) -> Result<Login> {
    let Some(file) = variables::docker_config().map(|directory| directory.join("config.json")) else {
        return Ok(Login::Anonymous);
    };
    let config = read(&file)?;
    let helper = config.cred_helpers.iter().find(|(server, _)| hostname(server) == hostname(host));
    let helper = helper.map(|(_, helper)| helper).or(config.creds_store.as_ref());
    if let Some(helper) = helper.filter(|helper| !helper.is_empty())
        && let Some(login) = ask(helper, server(host)).await?
    {
        return Ok(login);
    }
    let entry = config.auths.into_iter().find(|(server, _)| hostname(server) == hostname(host));
    let login = entry.map(|(_, entry)| entry.login().ok_or_else(|| unreadable(&file, host))).transpose()?;
    Ok(login.unwrap_or(Login::Anonymous))
}

/// The key under which Docker keeps a registry's credentials.
pub(super) fn server(host: &str) -> &str {
    if hostname(host) == hostname(DOCKER_HUB) { DOCKER_HUB } else { host }
}

/// `https://host:port/v1/` as `host:port`.
fn hostname(server: &str) -> &str {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    if host == "docker.io" { "index.docker.io" } else { host }
}

fn read(file: &Path) -> Result<Config> {
    let doing = || Error::failed(format!("read Docker's credentials, {}", file.display()));
    match fs::read(file) {
        // The parser's own words may quote the line, and with it the credentials.
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            doing().cause(format!("line {}, column {}: not as expected", error.line(), error.column()))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(doing().source(&error)),
    }
}

fn unreadable(file: &Path, host: &str) -> Error {
    Error::failed(format!("read the credentials for {host} in {}", file.display()))
        .cause("`auth` is not base64 of NAME:PASSWORD")
        .hint(format!("log in again: docker login {host}"))
}

impl Entry {
    /// Nothing when it cannot be read; an empty one stands for credentials that a helper keeps.
    fn login(self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::Identity(Secret::new(self.identitytoken)));
        }
        if self.auth.is_empty() {
            let given = !self.username.is_empty();
            let login = Login::Basic { username: self.username, password: Secret::new(self.password) };
            return Some(if given { login } else { Login::Anonymous });
        }
        let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        // Docker has padded passwords with zeros.
        Some(Login::Basic { username: username.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
    }
}

/// Asks `docker-credential-HELPER get`; nothing when it has none.
async fn ask(helper: &str, server: &str) -> Result<Option<Login>> {
    let program = PathBuf::from(format!("docker-credential-{helper}"));
    let failed = || {
        Error::failed(format!("ask {} for the credentials of {server}", program.display()))
            .hint("Docker's config.json names it; it must be on the PATH and logged in")
    };
    let run = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that has ended already says why.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER, run).await {
        Ok(output) => output.map_err(|error| failed().source(&error))?,
        Err(_) => return Err(failed().cause(format!("no answer within {} s", HELPER.as_secs()))),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed().cause(format!("{}: {}", output.status, said.trim())));
    }
    // Never with the parser's words: they may quote what was read.
    let answer: Answer =
        serde_json::from_str(&said).map_err(|_| failed().cause("its answer has no Username and Secret"))?;
    Ok(Some(match answer.username.as_str() {
        "" if answer.secret.is_empty() => Login::Anonymous,
        "<token>" => Login::Identity(Secret::new(answer.secret)),
        _ => Login::Basic { username: answer.username, password: Secret::new(answer.secret) },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Option<Login> {
        serde_json::from_str::<Entry>(text).expect("an entry").login()
    }

    #[test]
    fn entries_are_names_and_passwords_or_tokens() {
        let basic = |password: &str| Login::Basic { username: "me".into(), password: Secret::new(password) };
        assert_eq!(entry(r#"{"auth": "bWU6cGE6c3M="}"#), Some(basic("pa:ss")));
        assert_eq!(entry(r#"{"username": "me", "password": "p"}"#), Some(basic("p")));
        let token = Some(Login::Identity(Secret::new("t")));
        assert_eq!(entry(r#"{"auth": "bWU6", "identitytoken": "t"}"#), token);
        assert_eq!(entry("{}"), Some(Login::Anonymous));
        assert_eq!(entry(r#"{"auth": "%"}"#), None);
    }

    #[test]
    fn servers_are_compared_by_host() {
        assert_eq!(hostname("https://ghcr.io/v1/"), "ghcr.io");
        assert_eq!(hostname("127.0.0.1:5000"), "127.0.0.1:5000");
        assert_eq!(server("docker.io"), DOCKER_HUB);
        assert_eq!(server("ghcr.io"), "ghcr.io");
    }
}
