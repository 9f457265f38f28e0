//! Pods and services on the machine's Docker Engine.

mod claims;
mod cluster;
mod exec;
mod forward;
mod pods;
mod services;
