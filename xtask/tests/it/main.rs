//! The whole binary, as a person runs it.

mod aws;
mod causes;
mod command;
mod components;
mod consent;
mod delivery;
mod deploy;
mod dev;
mod emulator;
mod image;
mod journey;
mod kubeconfig;
mod kubectl;
mod load;
mod local;
mod overlays;
mod plans;
mod preflight;
mod registry;
mod rehearsal;
mod releases;
mod render;
mod rollout;
mod schema;
mod services;
mod usage;
