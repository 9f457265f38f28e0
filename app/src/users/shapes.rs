//! What is sent about users: the bodies and parameters of requests and answers, as the document describes them.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::store::User;

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// Nobody else's; capital letters count as small ones.
    #[schema(format = "email", max_length = 254, example = "ada@example.com")]
    pub(super) email: String,
    /// What people call it, of up to 100 characters as people count them.
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    pub(super) name: String,
    /// Hard to guess, which is measured.
    #[schema(format = "password", write_only, min_length = 10, max_length = 128, example = "tv8X-2wcb?Rn")]
    pub(super) password: String,
    /// Whether it may manage the others.
    #[serde(default)]
    #[schema(example = false)]
    pub(super) admin: bool,
}

/// What is to change of a user; the rest stays (RFC 7396).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPatch {
    /// Nobody else's; capital letters count as small ones.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, format = "email", max_length = 254, example = "ada@example.com")]
    pub(super) email: Option<String>,
    /// What people call it, of up to 100 characters as people count them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200, example = "Countess of Lovelace")]
    pub(super) name: Option<String>,
    /// Hard to guess, which is measured.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, format = "password", write_only, min_length = 10, max_length = 128)]
    pub(super) password: Option<String>,
    /// Whether it may manage the others, which only one that may can change.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    pub(super) admin: Option<bool>,
}

/// A null would remove a member (RFC 7396), and none of these can be missing.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Which users are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many at most; by default 20.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    pub(super) limit: Option<u16>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", nullable = false)]
    pub(super) cursor: Option<String>,
}

/// Some users, in the order of their creation.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    /// Them.
    pub(super) users: Vec<User>,
    /// The `cursor` of the next page, if there is one.
    #[schema(required)]
    pub(super) next: Option<String>,
}
