//! An embedded single-machine Kubernetes whose pods are containers of the local Docker Engine.
//!
//! Reading order: [`resource`] (what kinds there are), [`store`] (where objects live), [`schema`], [`fields`] and
//! [`patch`] (how they change), [`kinds`] (what each kind adds), [`custom`] (kinds that definitions add), [`access`] (who may do what), [`api`] (the HTTP server over all of it),
//! [`stream`] (connections that
//! clients take over), [`controllers`], [`kubelet`], [`proxy`] and [`registry`] (what makes objects real), [`serve`] (one process of it).

pub mod access;
pub mod api;
pub mod controllers;
pub mod custom;
pub mod fields;
pub mod kinds;
pub mod kubelet;
pub mod patch;
pub mod proxy;
pub mod registry;
pub mod resource;
pub mod schema;
pub mod serve;
pub mod status;
pub mod store;
mod stream;
