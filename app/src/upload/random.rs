//! A file of random bytes, made part by part.

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};

/// What is left to make of the file.
pub(super) struct Random {
    left: usize,
    bytes: StdRng,
    sum: Context,
}

impl Random {
    /// A file of so many bytes.
    pub(super) fn new(size: usize) -> Self {
        Self { left: size, bytes: StdRng::from_os_rng(), sum: Context::new(&SHA256) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The next bytes, of which there are no more than `limit`, and their SHA-256.
    pub(super) fn part(&mut self, limit: usize) -> (Bytes, Vec<u8>) {
        let mut part = vec![0; self.left.min(limit)];
        self.left -= part.len();
        self.bytes.fill_bytes(&mut part);
        self.sum.update(&part);
        let sum = digest(&SHA256, &part).as_ref().to_vec();
        (part.into(), sum)
    }

    /// The SHA-256 of what was made.
    pub(super) fn sha256(self) -> String {
        hex::encode(self.sum.finish())
    }
}
