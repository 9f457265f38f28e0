//! Reads the configuration, and serves, prints it, or prepares the database.

use std::{io::Write as _, process::ExitCode};

use app::{config::Config, database, docs, start, trace, users};

/// `EX_CONFIG` of sysexits.h: starting again won't help until somebody has changed the configuration.
const EXIT_CONFIG: u8 = 78;
/// `EX_USAGE`.
const EXIT_USAGE: u8 = 64;

const USAGE: &str = "\
usage: app            serve
       app config     print the configuration in effect, secrets masked
       app migrate    bring the database to this version's schema
       app add-admin EMAIL NAME
                      add a user that may manage the others; the password is read from stdin
       app openapi    print the document of the API
       app --version

Settings are environment variables, or are in the file that CONFIG_FILE names; `app config` lists them.
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        [] | ["config" | "migrate"] | ["add-admin", _, _] => {}
        ["openapi"] => return print(&docs::text()),
        ["--version"] => return print(concat!("app ", env!("CARGO_PKG_VERSION"), "\n")),
        ["--help" | "-h"] => return print(USAGE),
        _ => {
            say(USAGE.trim_end());
            return ExitCode::from(EXIT_USAGE);
        }
    }
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(errors) => {
            for error in errors {
                say(&format!("configuration: {error}"));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments == ["config"] {
        return print(&config.to_string());
    }
    trace::init(&config.telemetry);
    let done = match *arguments.as_slice() {
        ["migrate"] => database::migrate(&config).await,
        ["add-admin", email, name] => match std::io::read_to_string(std::io::stdin()) {
            Ok(password) => users::add_admin(&config, email, name, password).await,
            Err(error) => Err(format!("reading the password from stdin: {error}")),
        },
        _ => start::run(config).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that has seen enough closes its end.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// For people: what keeps the service from starting, before or beside the log.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
