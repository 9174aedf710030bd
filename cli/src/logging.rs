//! The log, on standard error.
//!
//! Owns the filter: silent unless asked, because one line of failure is what scripts look for. Started once, by `main`.

use std::io;

use tracing_subscriber::EnvFilter;

/// Starts the log. `RUST_LOG` says what is in it, and without it the number of `-v` does.
pub(crate) fn start(verbose: u8) {
    let unset = match verbose {
        0 => "off",
        1 => "warn,nelumbo=info,nelumbo_core=info,nelumbo_tokio=info",
        2 => "info,nelumbo=debug,nelumbo_core=debug,nelumbo_tokio=debug",
        _ => "debug,nelumbo=trace,nelumbo_core=trace,nelumbo_tokio=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(unset));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}
