//! The whole binary, as a person runs it.

mod command;
mod delivery;
mod image;
mod kubectl;
mod local;
mod preflight;
mod render;
mod rollout;
mod usage;
