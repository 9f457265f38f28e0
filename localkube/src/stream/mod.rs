//! Connections that a client takes over: forwarded ports, and the streams of a process in a container.
//!
//! [`upgrade`] agrees on a protocol and hands the connection over. [`forward`] carries a pod's ports, as kube-rs asks for
//! it (one channel a port over a WebSocket) or as kubectl does (SPDY through a WebSocket, or bare). [`process`] carries a
//! process's input and output.

mod forward;
mod process;
mod spdy;
mod upgrade;

pub(crate) use forward::{Dial, Link, TUNNELLED, Target, channels, streams};
pub(crate) use process::{Channel, Exit, Process, attend};
pub(crate) use upgrade::{Transport, Upgrade, Wish};
