//! The whole binary, as a person runs it.

mod command;
mod delivery;
mod deploy;
mod image;
mod kubectl;
mod load;
mod local;
mod preflight;
mod render;
mod rollout;
mod usage;
