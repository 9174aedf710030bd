//! The stack that secrets have been on.
//!
//! Owns the way to leave none there. What is wiped where it is held has still been moved, spilled and handed over in
//! registers, and each of these leaves copies in frames that have been given back. Whoever works with a secret drives
//! it.

use core::hint::black_box;

/// More than an operation on a secret uses: below 2 KiB in a release build, and below 8 in a debug build.
const DEPTH: usize = 12 * 1024;

/// Runs `work`, then overwrites the 12 KiB of stack that it ran on. What it returns should hold its secrets on the
/// heap.
pub fn scrubbed<T>(work: impl FnOnce() -> T) -> T {
    let done = below(work);
    overwrite();
    done
}

// Neither is inlined, so that both begin at the same depth.

#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    black_box(&mut [0_u8; DEPTH]);
}
