//! The one program in the node image, by its first argument:
//!
//! - `pause` holds a pod's network namespace open while its containers come and go;
//! - `service FILE` listens on a service's ports and passes connections on to its endpoints, as FILE says.
//!
//! Only the standard library, so that it can be linked statically wherever there is a Rust toolchain.

mod service;

use std::{env, process::ExitCode, thread};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        // SIGTERM has no effect on a first process without a handler; the kubelet ends this one with SIGKILL.
        (Some("pause"), None) => loop {
            thread::park();
        },
        (Some("service"), Some(file)) => service::run(file.as_ref()),
        _ => {
            eprintln!("usage: node pause | node service FILE");
            ExitCode::from(2)
        }
    }
}
