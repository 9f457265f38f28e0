//! What the database refuses, told to the log and to the client.

use axum::http::StatusCode;
use sqlx::Error;

use crate::problem::Problem;

/// Whether something is there already that there can be one of only.
pub fn is_duplicate(error: &Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// The answer to a request that needed what failed.
pub(super) fn problem(doing: &str, error: &Error) -> Problem {
    tracing::warn!(doing, error = words(error), "database");
    match error {
        // These are mistakes of ours; all else is a database that is not there, not ready, or full.
        Error::ColumnDecode { .. }
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::ColumnNotFound(_)
        | Error::Decode(_)
        | Error::Encode(_)
        | Error::TypeNotFound { .. } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something broke here"),
        _ => Problem::unavailable("the database can't be used now"),
    }
}

/// For the log: an error that quotes values may quote a hash.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::ColumnDecode { index, .. } => format!("column {index} is not what was expected"),
        Error::Decode(_) => "a value is not what was expected".to_owned(),
        // MySQL's word for a unique key that exists quotes the value, here somebody's e-mail address.
        error if is_duplicate(error) => "a value is there already".to_owned(),
        error => error.to_string(),
    }
}
