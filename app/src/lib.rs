//! The service: it reverses and upcases strings.
//!
//! [`config`] is what its environment says, [`start`] makes a [`State`] of that and serves. [`router`] puts the parts
//! together: [`text`] is what it does, by itself or with another service ([`upcase`], [`cache`]), and [`api`] how that
//! is asked for; [`users`], [`auth`] and [`upload`] are there
//! when they are configured; [`health`], [`metrics`] and [`trace`] tell how it does, [`docs`] how it is used. Every
//! refusal is a [`problem`], other services are asked by way of [`outward`]. [`serve`] is one server of it, whose [`drain`] loses no request.

pub mod api;
pub mod around;
pub mod auth;
pub mod body;
pub mod cache;
pub mod config;
pub mod connections;
pub mod database;
pub mod docs;
pub mod drain;
pub mod health;
pub mod limit;
pub mod media;
pub mod metrics;
pub mod outward;
pub mod problem;
pub mod query;
pub mod router;
pub mod serve;
pub mod start;
pub mod state;
pub mod text;
pub mod trace;
pub mod upcase;
pub mod upload;
pub mod users;

pub use router::app;
pub use state::State;
