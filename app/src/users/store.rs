//! The statements about users. They are the same for every database.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{config::Secret, database::is_duplicate};

/// A user, as shown: the password is not among what is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Its name for programs, in the order of creation.
    #[schema(value_type = String, format = "uuid")]
    pub id: Uuid,
    /// In small letters.
    #[schema(format = "email", example = "ada@example.com")]
    pub email: String,
    /// As people call it.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// Whether it may manage the others.
    pub admin: bool,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = "date-time")]
    pub updated: Timestamp,
    /// How often it has changed.
    #[serde(skip)]
    pub version: i64,
}

/// What is to change; the rest stays.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) admin: Option<bool>,
    pub(super) password: Option<Secret>,
}

/// What became of a change.
#[derive(Debug)]
pub(super) enum Changed {
    To(User),
    /// Somebody else changed or removed it first.
    Stale,
    /// Another user has the address.
    Taken,
}

/// Adds a user; false if the address is another's.
pub(super) async fn insert(connection: &mut AnyConnection, user: &User, password: &Secret) -> sqlx::Result<bool> {
    let statement = "INSERT INTO users (id, email, name, password, admin, version, created, updated) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(statement)
        .bind(user.id.to_string())
        .bind(&*user.email)
        .bind(&*user.name)
        .bind(password.expose().as_str())
        .bind(i64::from(user.admin))
        .bind(user.version)
        .bind(user.created.as_millisecond())
        .bind(user.updated.as_millisecond());
    match query.execute(connection).await {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn get(connection: &mut AnyConnection, id: Uuid) -> sqlx::Result<Option<User>> {
    let statement = "SELECT id, email, name, admin, version, created, updated FROM users WHERE id = ?";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(user).transpose()
}

/// The user of an address, with the hash of its password.
pub(super) async fn find(connection: &mut AnyConnection, email: &str) -> sqlx::Result<Option<(User, Secret)>> {
    let statement = "SELECT id, email, name, admin, version, created, updated, password FROM users WHERE email = ?";
    let row = sqlx::query(statement).bind(email).fetch_optional(connection).await?;
    row.as_ref().map(|row| Ok((user(row)?, Secret::new(row.try_get("password")?)))).transpose()
}

/// Those after a cursor, in the order of their ids.
pub(super) async fn list(connection: &mut AnyConnection, after: Uuid, limit: i64) -> sqlx::Result<Vec<User>> {
    let statement =
        "SELECT id, email, name, admin, version, created, updated FROM users WHERE id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(statement).bind(after.to_string()).bind(limit).fetch_all(connection).await?;
    rows.iter().map(user).collect()
}

/// Changes a user, if it is still at this version. Both statements see the same state when they are one transaction,
/// which is the caller's; it starts with the one that writes, since SQLite lets no reader turn into a writer later.
pub(super) async fn update(
    connection: &mut AnyConnection,
    id: Uuid,
    version: i64,
    change: &Change,
) -> sqlx::Result<Changed> {
    let statement = "UPDATE users SET email = COALESCE(?, email), name = COALESCE(?, name), \
                     admin = COALESCE(?, admin), password = COALESCE(?, password), \
                     version = version + 1, updated = ? WHERE id = ? AND version = ?";
    let query = sqlx::query(statement)
        .bind(change.email.as_deref())
        .bind(change.name.as_deref())
        .bind(change.admin.map(i64::from))
        .bind(change.password.as_ref().map(|password| password.expose().as_str()))
        .bind(Timestamp::now().as_millisecond())
        .bind(id.to_string())
        .bind(version);
    let touched = match query.execute(&mut *connection).await {
        Ok(result) => result.rows_affected(),
        Err(error) if is_duplicate(&error) => return Ok(Changed::Taken),
        Err(error) => return Err(error),
    };
    Ok(match get(connection, id).await? {
        Some(user) if touched == 1 => Changed::To(user),
        _ => Changed::Stale,
    })
}

/// Removes a user, if it is still at this version; whether it did.
pub(super) async fn delete(connection: &mut AnyConnection, id: Uuid, version: i64) -> sqlx::Result<bool> {
    let query = sqlx::query("DELETE FROM users WHERE id = ? AND version = ?").bind(id.to_string()).bind(version);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn user(row: &AnyRow) -> sqlx::Result<User> {
    let time = |column: &str| {
        let milliseconds: i64 = row.try_get(column)?;
        Timestamp::from_millisecond(milliseconds).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    Ok(User {
        id: row.try_get::<String, _>("id")?.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        admin: row.try_get::<i64, _>("admin")? != 0,
        version: row.try_get("version")?,
        created: time("created")?,
        updated: time("updated")?,
    })
}
