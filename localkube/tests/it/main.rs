//! Integration tests of localkube, against real clients.

mod busybox;
mod cluster;
mod golden;
mod kubectl;
mod registry;
mod serve;
