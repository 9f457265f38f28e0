//! Parses the command line, runs the command, renders its error and exits.

// The future of a deploy holds those of all its stages and of the AWS crates; the compiler's limit is 128 levels.
#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser as _;
use xtask::{cli::Cli, commands, error::Error, ui::Printer};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(&cli.global);
    // Nearly all of the work is waiting: a thread for each of many cores would only cost memory.
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::failed("start the runtime").source(&error))
        .and_then(|runtime| {
            let result = runtime.block_on(commands::run(cli, &printer));
            // What still runs on a thread of its own, after Ctrl-C, is not waited for.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
