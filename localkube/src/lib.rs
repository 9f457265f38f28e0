//! An embedded single-machine Kubernetes whose pods are containers of the local Docker Engine.
//!
//! Reading order: [`resource`] (what kinds there are), [`store`] (where objects live), [`schema`], [`fields`] and
//! [`patch`] (how they change), [`kinds`] (what each kind adds), [`api`] (the HTTP server over all of it),
//! [`controllers`], [`kubelet`], [`proxy`] and [`registry`] (what makes objects real), [`serve`] (one process of it).

pub mod api;
pub mod controllers;
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
