//! What clients of a node's HTTP API cost its sessions: three nodes sign one session after the other, in quiet and
//! while one of them is asked a thousand times a second and slow clients hold on to it, by turns in one run.
//!
//! `load` owns the load and the measure. Sessions are created, approved and seen to complete over the nodes' sockets,
//! so that what is measured is the sessions and not the way in which they are asked for. `.ci/campaign api-load` runs
//! it; it fails when sessions take twice as long, at the 99th percentile, as in quiet.

#![allow(clippy::print_stdout)]

#[cfg(unix)]
#[path = "../../tests/cli_support/mod.rs"]
mod cli_support;
#[cfg(unix)]
mod load;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(unix)]
    return load::run();
    #[cfg(not(unix))]
    return ExitCode::FAILURE;
}
