//! Packs the explorer of the API documentation for the binary, and has the linker pack the binary's relocations.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "cargo talks to build scripts this way")]

use std::{
    env, fs,
    io::{Cursor, Read as _},
    path::Path,
    process::Command,
};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// What of Swagger UI a page needs.
const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if packs_relocations().unwrap_or(false) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    let out = env::var_os("OUT_DIR").expect("cargo names it");
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("it is a zip archive");
    for file in FILES {
        let wanted = format!("/dist/{file}");
        let mut names = archive.file_names();
        let index = names.position(|name| name.is_ok_and(|name| name.ends_with(&wanted))).expect("the archive has it");
        drop(names);
        let mut entry = archive.by_index_raw(index).expect("it can be read");
        // What zip holds is what gzip holds (RFC 1952), between another head and another tail: browsers unpack it.
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
        let (checksum, size) = (entry.crc32(), u32::try_from(entry.size()).expect("it is small"));
        entry.read_to_end(&mut gzip).expect("it can be read");
        gzip.extend(checksum.to_le_bytes());
        gzip.extend(size.to_le_bytes());
        fs::write(Path::new(&out).join(format!("{file}.gz")), gzip).expect("write it");
    }
}

/// The addresses in a binary that may lie anywhere are adjusted at start by a list with 24 bytes for each: megabytes that
/// stay in memory. glibc takes them as a bitmap, too, since 2.36.
fn packs_relocations() -> Option<bool> {
    if env::var("HOST") != env::var("TARGET") || env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return None;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) >= (2, 36))
}
