//! Integration tests of localkube, against real clients.

mod busybox;
mod cluster;
mod kubectl;
mod registry;
