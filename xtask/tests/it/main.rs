//! The whole binary, as a person runs it.

mod command;
mod kubectl;
mod render;
mod usage;
