//! Users, kept in the database: `/v1/users`.
//!
//! [`fields`] says what may be in one, [`store`] keeps it, [`password`] hashes, [`requests`] is how all that is asked
//! for and [`shapes`] in which form. Who manages users is an admin; any other user sees and changes itself.

mod fields;
mod password;
mod requests;
mod shapes;
mod store;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use jiff::Timestamp;
use utoipa::OpenApi;
use uuid::Uuid;

pub use password::Passwords;
pub use store::User;

use crate::{
    State,
    config::{Config, Secret},
    database::Database,
    problem::Problem,
};

/// The users of a service that has a database.
#[derive(Debug, Clone)]
pub struct Users {
    database: Database,
    passwords: Passwords,
}

/// Its part of the document.
#[derive(OpenApi)]
#[openapi(paths(requests::create, requests::list, requests::read, requests::update, requests::delete))]
pub(crate) struct Documented;

/// Its routes; none without a database.
pub fn routes(state: &State) -> Router<Arc<State>> {
    if state.users.is_none() {
        return Router::new();
    }
    Router::new()
        .route("/v1/users", post(requests::create).get(requests::list))
        .route("/v1/users/{id}", get(requests::read).patch(requests::update).delete(requests::delete))
}

impl Users {
    /// Those of a database.
    pub fn new(database: Database) -> Self {
        Self { database, passwords: Passwords::new() }
    }

    /// The user whose address and password these are, if there is one.
    ///
    /// # Errors
    /// 503 when the database does not answer or too many ask.
    pub async fn authenticate(&self, email: &str, password: Secret) -> Result<Option<User>, Problem> {
        // What can't be anybody's need not be looked up, but takes as long.
        let found = match fields::email(email) {
            Ok(email) => {
                let work = async { store::find(&mut *self.database.pool().acquire().await?, &email).await };
                self.database.run("looking up who asks", work).await?
            }
            Err(_) => None,
        };
        let (user, hash) = found.unzip();
        let right = self.passwords.verify(password, hash.as_ref()).await?;
        Ok(user.filter(|_| right))
    }

    async fn add_admin(&self, email: &str, name: &str, password: &str) -> Result<User, String> {
        let email = fields::email(email).map_err(|detail| format!("the e-mail address {detail}"))?;
        let name = fields::name(name).map_err(|detail| format!("the name {detail}"))?;
        let weak = |detail| format!("the password {detail}");
        let password = Secret::new(fields::password(password.to_owned()).map_err(weak)?);
        let hash = self.passwords.hash(password, email.clone(), name.clone()).await;
        let hash = hash.map_err(|problem| problem.to_string())?.map_err(weak)?;
        let user = User::new(email, name, true);
        let work = async { store::insert(&mut *self.database.pool().acquire().await?, &user, &hash).await };
        match self.database.run("adding a user", work).await {
            Ok(true) => Ok(user),
            Ok(false) => Err(format!("another user has the address {}", user.email)),
            Err(problem) => Err(problem.to_string()),
        }
    }
}

/// Adds a user that may manage the others, of whom the first can't come from anywhere else: `app add-admin`. The line
/// end of the password is none of it.
///
/// # Errors
/// What is wrong with it, or why it can't be kept.
pub async fn add_admin(config: &Config, email: &str, name: &str, password: String) -> Result<(), String> {
    let doing = |error: String| format!("adding an admin: {error}");
    let database = Database::new(&config.database)
        .ok_or_else(|| doing("no database is configured; set DATABASE_URL or DATABASE_FILE".to_owned()))?;
    database.prepare(&config.database).await?;
    let password = password.trim_end_matches(['\r', '\n']);
    let user = Users::new(database).add_admin(email, name, password).await.map_err(doing)?;
    tracing::info!(id = %user.id, "added an admin");
    Ok(())
}

impl User {
    fn new(email: String, name: String, admin: bool) -> Self {
        // As precise as what the database keeps.
        let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default();
        Self { id: Uuid::now_v7(), email, name, admin, created: now, updated: now, version: 1 }
    }
}
