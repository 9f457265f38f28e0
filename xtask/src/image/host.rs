//! Builder `host`: cargo on this machine makes a static binary.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
    sync::mpsc,
};

use super::{log::Log, toolchain::Toolchain};
use crate::{
    config::{Image, variables},
    error::{Error, Result},
    ui::Step,
};

/// Apart from `target/`: the flags differ, and cargo would compile everything anew at each change between them.
const TARGET_DIRECTORY: &str = "target/image";

/// Compiles the package and returns its only binary.
///
/// # Errors
/// What the compiler says; a binary that is not static; none or several of them.
pub(super) async fn compile(root: &Path, image: &Image, toolchain: &Toolchain, step: &Step) -> Result<Binary> {
    let Image { package, profile, .. } = image;
    let target = toolchain.linux_host()?;
    let mut log = Log::open(root)?;
    let output = output_directory(root)?;
    let mut command = Command::new(variables::cargo());
    command.current_dir(root).args(["build", "--profile", profile, "--package", package, "--bins"]);
    // Without a target, the flags would be for build scripts and procedural macros too, which can't be static.
    command.args(["--target", target, "--message-format", "json-render-diagnostics", "--target-dir"]).arg(&output);
    if root.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    let strip = format!("CARGO_PROFILE_{}_STRIP", profile.to_uppercase().replace('-', "_"));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&output)).env(strip, "symbols");
    command.env("CARGO_TERM_COLOR", "never").env_remove("RUSTFLAGS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    log.line(&format!("{:?}", command.as_std()));
    let (status, executables) = run(&mut command, &mut log, step).await?;
    if !status.success() {
        return Err(log.failure(format!("compile package `{package}` for the image")));
    }
    let [executable] = executables.as_slice() else {
        let found = format!("it has {} binaries, an image has one", executables.len());
        return Err(Error::usage(format!("find the binary of package `{package}`"))
            .cause(found)
            .hint("set image.package to a package with one binary"));
    };
    let failed = |error| Error::failed(format!("read {}", executable.display())).source(&error);
    let bytes = tokio::fs::read(executable).await.map_err(failed)?;
    require_static(&bytes, executable)?;
    let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Binary { name, bytes, architecture: toolchain.architecture() })
}

/// A compiled binary.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// In the words of the OCI.
    pub(super) architecture: &'static str,
}

/// Where cargo puts what it makes, without symbolic links.
fn output_directory(root: &Path) -> Result<PathBuf> {
    let directory = root.join(TARGET_DIRECTORY);
    let failed = |error: std::io::Error| Error::failed(format!("make {}", directory.display())).source(&error);
    std::fs::create_dir_all(&directory).map_err(failed)?;
    directory.canonicalize().map_err(failed)
}

/// Paths of this machine in panic messages would make another binary on another machine. The workspace's own are
/// relative to its root; what build scripts have written and the packages of registries are not.
fn flags(output: &Path) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    let remaps = [(Some(output.to_owned()), "/target"), (variables::cargo_home(), "/cargo")];
    for (from, to) in remaps.into_iter().filter_map(|(from, to)| Some((from?, to))) {
        // Flags are separated by the unit separator, so that they may contain spaces.
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// Runs cargo; its words are progress and log, its messages name the binaries.
async fn run(command: &mut Command, log: &mut Log, step: &Step) -> Result<(std::process::ExitStatus, Vec<PathBuf>)> {
    let failed = |error: std::io::Error| Error::failed("run cargo").source(&error);
    let mut child = command.spawn().map_err(failed)?;
    let (sender, mut lines) = mpsc::channel(64);
    let readers = (
        tokio::spawn(read(child.stdout.take(), Stream::Messages, sender.clone())),
        tokio::spawn(read(child.stderr.take(), Stream::Words, sender)),
    );
    let (mut executables, mut compiled) = (Vec::new(), 0);
    while let Some((stream, line)) = lines.recv().await {
        match stream {
            Stream::Words => {
                log.line(&line);
                if let Some(unit) = line.trim_start().strip_prefix("Compiling ") {
                    compiled += 1;
                    step.update(format!("compiling {unit} ({compiled})"));
                }
            }
            Stream::Messages => executables.extend(executable(&line)),
        }
    }
    drop(readers);
    Ok((child.wait().await.map_err(failed)?, executables))
}

#[derive(Clone, Copy)]
enum Stream {
    Messages,
    Words,
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, stream: Stream, sender: mpsc::Sender<(Stream, String)>) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        if sender.send((stream, String::from_utf8_lossy(&line).into_owned())).await.is_err() {
            return;
        }
    }
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_artifact = message["reason"] == "compiler-artifact" && message["profile"]["test"] == false;
    is_artifact.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

/// In an image FROM scratch there is no dynamic loader: a binary that names one would fail with a puzzling "no such
/// file or directory".
fn require_static(binary: &[u8], path: &Path) -> Result<()> {
    match asks_for_loader(binary) {
        Some(false) => Ok(()),
        Some(true) => Err(Error::failed(format!("put {} into an image FROM scratch", path.display()))
            .cause("it is linked dynamically and asks for a loader, which is not there")
            .hint("drop `-C target-feature=-crt-static` from .cargo/config.toml, or use image.builder: dockerfile")),
        None => Err(Error::failed(format!("read {} as a 64-bit ELF file", path.display()))),
    }
}

/// Whether a little-endian 64-bit ELF file has a program header PT_INTERP (System V ABI, chapter 5).
fn asks_for_loader(binary: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |offset: usize, size: usize| -> Option<u64> {
        let bytes = binary.get(offset..offset.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let header = usize::try_from(table.checked_add(index.checked_mul(size)?)?).ok()?;
        if number(header, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_binary_is_recognised() {
        // This very test is one.
        let test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(asks_for_loader(&test), Some(true));
        assert_eq!(asks_for_loader(b"#!/bin/sh\n"), None);
        assert_eq!(asks_for_loader(&test[..100]), None);
        let error = require_static(&test, Path::new("/x/app")).unwrap_err();
        assert_eq!(error.message, "put /x/app into an image FROM scratch");
    }
}
