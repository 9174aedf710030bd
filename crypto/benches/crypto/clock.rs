//! The time that this thread has had the processor for.
//!
//! Owns the reading. A machine that is busy with other things interrupts long operations more often than short ones;
//! only time on the processor compares them fairly. Where the kernel does not tell (`/proc/thread-self/schedstat`), it
//! is the time on the wall. Contestants and calibration drive it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A reading, of which only differences mean anything.
pub(crate) fn now() -> Duration {
    // The kernel brings its account up to date when a thread offers to stand back.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = account.as_deref().and_then(|account| account.split(' ').next()?.parse().ok());
    match nanoseconds {
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        None => START.elapsed(),
    }
}
