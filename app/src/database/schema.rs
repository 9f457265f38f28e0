//! The schema and its versions.

use sqlx::{
    AnyPool, Connection as _, Executor as _, Row as _, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

/// Each version's name and its statement for MySQL and for SQLite. One statement each: MySQL can't take back half of it.
/// What has been released is never changed, only followed.
const VERSIONS: [(&str, &str, &str); 1] =
    [("users", include_str!("migrations/0001-users.mysql.sql"), include_str!("migrations/0001-users.sqlite.sql"))];

/// Applies the versions that are missing, one process at a time.
pub(super) async fn migrate(pool: &AnyPool) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await?;
    let mysql = connection.backend_name() == "MySQL";
    let migrations = (1..).zip(VERSIONS).map(|(version, (name, for_mysql, for_sqlite))| {
        let statement = if mysql { for_mysql } else { for_sqlite };
        Migration::new(version, name.into(), MigrationType::Simple, statement.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // The version before this one must be able to start beside it, and again after it.
    migrator.set_ignore_missing(true);
    // The lock of the crate waits for -1 seconds, which is for ever in MySQL and not at all in MariaDB.
    migrator.set_locking(false);
    if !mysql {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        migrator.run(&mut *transaction).await?;
        return Ok(transaction.commit().await?);
    }
    let lock = sqlx::query("SELECT COALESCE(GET_LOCK('app.migrate', 60), 0)").fetch_one(&mut *connection).await?;
    if lock.try_get::<i64, _>(0)? != 1 {
        let words = "another process has been at it for a minute";
        return Err(MigrateError::Execute(sqlx::Error::Protocol(words.to_owned())));
    }
    let done = migrator.run(&mut *connection).await;
    // With the connection goes the lock, whatever became of the rest.
    connection.close().await?;
    done
}

/// Whether the newest version of the schema that this program knows is there.
pub(super) async fn is_current(pool: &AnyPool) -> sqlx::Result<bool> {
    let newest = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = ? AND success";
    let query = sqlx::query(newest).bind(VERSIONS.len() as i64);
    match pool.fetch_one(query).await {
        Ok(row) => Ok(row.try_get::<i64, _>(0)? == 1),
        // Nothing was ever migrated: the table is not there.
        Err(sqlx::Error::Database(error)) if is_missing_table(&*error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLSTATE 42S02 of MySQL; SQLite has only its words.
fn is_missing_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code == "42S02") || error.message().starts_with("no such table")
}
