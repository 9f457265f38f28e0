//! Who may do what: tokens of service accounts ([`token`]), rules of roles ([`rules`]), and the roles that every cluster
//! has ([`roles`]).

pub(crate) mod roles;
pub(crate) mod rules;
mod token;

pub use token::Signer;
pub(crate) use token::{AUDIENCE, Bound, Claims, ISSUER, Reference};
