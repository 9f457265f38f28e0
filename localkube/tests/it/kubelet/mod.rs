//! Pods and services on the machine's Docker Engine.

mod cluster;
mod pods;
mod services;
