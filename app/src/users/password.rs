//! Passwords as argon2id, hashed and verified by as many threads as there are cores.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use aws_lc_rs::{hmac, rand};
use axum::http::StatusCode;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::fields;
use crate::{config::Secret, problem::Problem};

/// Each at work takes 19 MiB (the crate's parameters are OWASP's: m=19456, t=2, p=1).
const AT_ONCE_LIMIT: usize = 4;
/// How long a request waits for its turn; more have come than can be served.
const PATIENCE: Duration = Duration::from_secs(4);
/// For how long a password that was right counts as right while its hash stays the same.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// What was verified lately, as a code that only this process can make: of the password and its hash, so that it
    /// is worth nothing once the password has changed.
    verified: Cache<[u8; 32], ()>,
    key: Arc<hmac::Key>,
    /// What is verified for a user that there isn't, so that this takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// With an empty memory.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).expect("randomness");
        // The salt and hash of no password at all, in the form of the real ones.
        let nobody = format!("$argon2id$v=19$m=19456,t=2,p=1${}${}", "A".repeat(22), "A".repeat(43));
        Self {
            turns: Arc::new(Semaphore::new(cores.min(AT_ONCE_LIMIT))),
            verified: Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build(),
            key: Arc::new(key),
            nobody: nobody.into(),
        }
    }

    /// The hash of a user's new password, or why it can't be one.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn hash(&self, password: Secret, email: String, name: String) -> Result<Result<Secret, String>, Problem> {
        self.work(move || {
            let password = password.expose();
            if let Some(reason) = fields::guessable(password, &email, &name) {
                return Ok(Err(reason));
            }
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| Ok(Secret::new(hash.to_string())))
        })
        .await
    }

    /// Whether a password is the one of a hash; never without one.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn verify(&self, password: Secret, hash: Option<&Secret>) -> Result<bool, Problem> {
        let text = hash.map_or_else(|| self.nobody.to_string(), |hash| hash.expose().clone());
        let code = self.code(&password, &text);
        if hash.is_some() && self.verified.contains_key(&code) {
            return Ok(true);
        }
        let right = self
            .work(move || {
                let hash = PasswordHash::new(&text)?;
                Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
            })
            .await?;
        let right = right && hash.is_some();
        if right {
            self.verified.insert(code, ());
        }
        Ok(right)
    }

    fn code(&self, password: &Secret, hash: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // A hash has no NUL in it, so no two pairs run together.
        context.update(hash.as_bytes());
        context.update(&[0]);
        context.update(password.expose().as_bytes());
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// On the threads for what blocks, when it is its turn. A request that goes away doesn't let another one in before
    /// its work is done.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> argon2::password_hash::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::unavailable("too many passwords are waiting to be looked at");
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned());
        let turn = turn.await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match done.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::error!(%error, "hashing a password");
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something broke here"))
            }
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something broke here")),
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_is_told_from_others() {
        let passwords = Passwords::new();
        let hash = |text| passwords.hash(secret(text), "a@example.com".into(), "A".into());
        let first = hash("jk4W-9qzp!Lm").await.unwrap().unwrap();
        assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "the parameters of OWASP");
        assert_ne!(first, hash("jk4W-9qzp!Lm").await.unwrap().unwrap(), "each has a salt of its own");
        assert!(hash("password12").await.unwrap().is_err());
        // Twice: by its hash, and from memory.
        for _ in 0..2 {
            assert!(passwords.verify(secret("jk4W-9qzp!Lm"), Some(&first)).await.unwrap());
            assert!(!passwords.verify(secret("jk4W-9qzp!LM"), Some(&first)).await.unwrap());
            assert!(!passwords.verify(secret("jk4W-9qzp!Lm"), None).await.unwrap());
        }
        let second = hash("tv8X-2wcb?Rn").await.unwrap().unwrap();
        assert!(!passwords.verify(secret("jk4W-9qzp!Lm"), Some(&second)).await.unwrap(), "a changed password");
    }
}
