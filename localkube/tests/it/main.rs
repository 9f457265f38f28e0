//! Integration tests of localkube, against real clients.

mod busybox;
mod cluster;
mod controllers;
mod fake_node;
mod golden;
mod kubectl;
mod kubelet;
mod registry;
mod serve;
