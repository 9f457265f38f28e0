//! Integration tests of localkube, against real clients.

mod access;
mod busybox;
mod cluster;
mod controllers;
mod custom;
mod fake_node;
mod golden;
mod kubectl;
mod kubelet;
mod registry;
mod serve;
mod workloads;
