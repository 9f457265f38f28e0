//! The pipeline from source to a verified release: one folder a stage, in the order in which a deploy meets them.

pub mod apply;
pub mod aws;
pub mod bootstrap;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod error;
pub mod hooks;
pub mod image;
pub mod manifests;
pub mod plan;
mod programs;
pub mod registry;
pub mod release;
pub mod rollout;
mod secrets;
mod transport;
pub mod ui;
pub mod verify;
