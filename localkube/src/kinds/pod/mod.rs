//! Pods and pod templates.

mod admission;
mod container;
pub(super) mod defaults;
mod probe;
mod spec;
mod update;
mod volume;

pub use admission::{admit, quality_of_service};
pub(super) use probe::{port_number, port_or_name};
pub(super) use spec::{template, validate_spec};
pub(super) use update::validate_update;
