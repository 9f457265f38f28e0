//! The one program in the node image, by its first argument:
//!
//! - `pause` holds a pod's network namespace open while its containers come and go;
//! - `forward PORT` carries its input and output to a port that only the pod itself reaches;
//! - `clear DIRECTORY` removes a directory with all that containers of any user left in it;
//! - `service FILE` listens on a service's ports and passes connections on to its endpoints, as FILE says.
//!
//! Only the standard library, so that it can be linked statically wherever there is a Rust toolchain.

mod forward;
mod service;

use std::{env, fs, process::ExitCode, thread};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        // SIGTERM has no effect on a first process without a handler; the kubelet ends this one with SIGKILL.
        (Some("pause"), None) => loop {
            thread::park();
        },
        (Some("clear"), Some(directory)) => match fs::remove_dir_all(&directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{directory}: {error}");
                ExitCode::FAILURE
            }
        },
        (Some("service"), Some(file)) => service::run(file.as_ref()),
        (Some("forward"), Some(port)) => match port.parse() {
            Ok(port) => forward::run(port),
            Err(_) => ExitCode::from(2),
        },
        _ => {
            eprintln!("usage: node pause | node forward PORT | node clear DIRECTORY | node service FILE");
            ExitCode::from(2)
        }
    }
}
