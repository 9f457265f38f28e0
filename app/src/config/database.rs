//! Where the users are kept.

use std::{fmt::Write as _, str::FromStr as _, time::Duration};

use sqlx::mysql::MySqlConnectOptions;

use super::{Reader, Secret};

/// Its database; without `DATABASE_FILE` and `DATABASE_URL` there are no users.
#[derive(Debug, Clone)]
pub struct Database {
    /// `DATABASE_FILE`, the file of an SQLite database that is made if it isn't there, or `DATABASE_URL`, as in
    /// `mysql://user:password@host:3306/name?ssl-mode=VERIFY_IDENTITY` (or `mariadb://`). One of them, as a URL.
    pub url: Option<Secret>,
    /// `DATABASE_CONNECTIONS`: how many there are at most, by default 10.
    pub connections: u32,
    /// `DATABASE_TIMEOUT`: how long a request waits for a connection, and then for its statements, by default 3s.
    pub timeout: Duration,
    /// `DATABASE_WAIT`: how long the start waits for the database to answer, by default 60s.
    pub wait: Duration,
    /// `DATABASE_MIGRATE`: whether the start brings the schema up to date. By default `app migrate` does.
    pub migrate: bool,
}

impl Database {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let file = read.optional("DATABASE_FILE", "the path of a file", |text| Some(sqlite(text)));
        let what = "a URL such as mysql://user:password@host:3306/name, whose password has its special characters \
                    written as %XX";
        let url = read.secret("DATABASE_URL", what, |text| {
            let scheme = text.starts_with("mysql://") || text.starts_with("mariadb://");
            let options = MySqlConnectOptions::from_str(text).ok().filter(|_| scheme)?;
            options.get_database().filter(|name| !name.is_empty())?;
            Some(text.to_owned())
        });
        read.require(file.is_none() || url.is_none(), || {
            "DATABASE_FILE and DATABASE_URL are two databases, and there can be one".to_owned()
        });
        Self {
            url: file.map(Secret::new).or(url),
            connections: read.number("DATABASE_CONNECTIONS", "10", 1, 1000),
            timeout: read.duration("DATABASE_TIMEOUT", "3s"),
            wait: read.duration("DATABASE_WAIT", "60s"),
            migrate: read.flag("DATABASE_MIGRATE", "false"),
        }
    }
}

/// The URL of a file, whatever characters its path has.
fn sqlite(path: &str) -> String {
    let mut url = "sqlite:".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            url.push(byte.into());
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url + "?mode=rwc"
}
