//! Compiles `node/main.rs`, the program that runs inside pods and in front of service addresses, for the Linux that the
//! Docker Engine runs, and leaves it in OUT_DIR for `include_bytes!`.
//!
//! Where there is no linker for that target (macOS without a cross toolchain, for example) the blob is empty: the crate
//! still builds, and the kubelet says at run time what is missing.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "cargo talks to build scripts this way")]

use std::{env, fs, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=node");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let program = out.join("node");
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    if let Err(error) = compile(&architecture, &program) {
        println!("cargo::warning=pods cannot run with this build of localkube: {error}");
        fs::write(&program, []).expect("OUT_DIR is writable");
    }
}

fn compile(architecture: &str, program: &PathBuf) -> Result<(), String> {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "node", "--crate-type", "bin", "node/main.rs"])
        .args(["--target", &format!("{architecture}-unknown-linux-gnu")])
        .args(["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "lto=fat", "-C", "codegen-units=1"])
        .args(["-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .arg(program)
        .output()
        .map_err(|error| format!("running rustc: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.lines().find(|line| line.starts_with("error")).unwrap_or("rustc failed").to_owned())
}
