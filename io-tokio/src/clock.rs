//! The two clocks of a node.
//!
//! Owns the origin of monotonic time. Invariant: monotonic time never goes back, and is the only time that timers see.
//! Driven by the runtime, which reads it once per input.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nelumbo_core::base::{Mono, Now, Wall};
use tokio::time::Instant;

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // A clock before 1970 is as wrong as one at 1970, and peers will say so.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Now { mono: Mono::from_nanos(nanos), wall: Wall::from_millis(millis) }
    }

    /// When tokio's clock shows this time.
    pub(crate) fn instant(self, mono: Mono) -> Instant {
        const FAR: Duration = Duration::from_secs(24 * 3600);
        self.origin.checked_add(Duration::from_nanos(mono.as_nanos())).unwrap_or_else(|| Instant::now() + FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_is_reached_when_its_time_has_come() {
        let clock = Clock::start();
        let deadline = clock.now().mono.after(Duration::from_millis(5));
        tokio::time::sleep_until(clock.instant(deadline)).await;
        assert!(clock.now().mono >= deadline);
        assert!(clock.instant(Mono::from_nanos(u64::MAX)) > Instant::now());
    }

    #[test]
    fn the_wall_clock_is_this_century_s() {
        let clock = Clock { origin: Instant::now() };
        assert!(clock.now().wall > Wall::from_millis(1_700_000_000_000));
    }
}
