//! Parses the command line, runs the command, renders its error and exits.

fn main() {}
