//! What a signer leaves behind: in memory, searched from outside, and in time, traced instruction by instruction.
//!
//! A program of its own, because both want a process that does nothing else: it starts itself again as the one that
//! holds the secrets. `cargo test -p nelumbo-crypto --test secrets` searches memory; `-- --trace` runs the operations
//! under valgrind, which must be installed.

#![allow(clippy::print_stdout, reason = "a test without a harness speaks for itself")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it watches a process from outside")]

mod operations;
mod residue;
mod trace;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

fn main() {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let text = |word| std::str::from_utf8(word).expect("text");
    match words[..] {
        [b"--hold", key, seed] => residue::hold(text(key), text(seed)),
        [b"--perform", operations, secret] => operations::perform(text(operations), secret),
        [b"--trace"] => trace::no_operation_on_a_secret_depends_on_it(),
        _ => residue::no_secret_outlives_its_use(),
    }
}
