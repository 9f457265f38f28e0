//! The service as a process, asked over a real socket.

#![expect(clippy::disallowed_methods, reason = "threads of their own play the clients, nothing here is async")]

mod api;
mod auth;
mod client;
mod documentation;
mod hostile;
mod issuer;
mod limit;
mod mariadb;
mod ministack;
mod observing;
mod parsers;
mod process;
mod redis;
mod serving;
mod stub;
mod unicode;
mod upload;
mod upstream;
mod users;
