//! Integration tests of localkube, against real clients.

mod registry;
