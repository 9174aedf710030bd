//! One machine's clocks, and how they differ from virtual time.
//!
//! Invariant: the monotonic clock never goes back, whatever happens to the wall clock.

use nelumbo_core::base::{Mono, Now, Wall};

use crate::engine::Nanos;

/// When the simulated calendar begins: 2026-01-01 UTC, in milliseconds.
const WALL_ORIGIN: i64 = 1_767_225_600_000;

/// A monotonic and a wall clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// By how much the wall clock is ahead, in milliseconds.
    pub(super) ahead: i64,
    drift: i32,
    /// When the drift was set, in virtual time and by the monotonic clock.
    since: (Nanos, Nanos),
}

impl Clock {
    pub(super) fn set_drift(&mut self, now: Nanos, ppm: i32) {
        self.since = (now, self.mono(now));
        // A clock that stands still or runs backwards would be no clock.
        self.drift = ppm.clamp(-500_000, 500_000);
    }

    fn mono(&self, now: Nanos) -> Nanos {
        let (then, mono) = self.since;
        let passed = i128::from(now - then);
        mono + u64::try_from(passed + passed * i128::from(self.drift) / 1_000_000).unwrap_or(0)
    }

    pub(super) fn read(&self, now: Nanos) -> Now {
        let mono = self.mono(now);
        let wall = (WALL_ORIGIN + self.ahead).saturating_add_unsigned(mono / 1_000_000);
        Now { mono: Mono::from_nanos(mono), wall: Wall::from_millis(u64::try_from(wall).unwrap_or(0)) }
    }

    /// How much virtual time passes until the monotonic clock shows this.
    pub(super) fn until(&self, now: Nanos, at: Mono) -> Nanos {
        let left = i128::from(at.as_nanos().saturating_sub(self.mono(now)));
        u64::try_from((left * 1_000_000).div_euclid(1_000_000 + i128::from(self.drift)) + i128::from(self.drift != 0))
            .unwrap_or(Nanos::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drifting_clock_reaches_a_deadline_when_it_says_so() {
        for ppm in [-400_000, -50, 0, 50, 300_000] {
            let mut clock = Clock::default();
            clock.set_drift(1_000, ppm);
            let deadline = Mono::from_nanos(5_000_000_123);
            let wait = clock.until(2_000, deadline);
            assert!(clock.read(2_000 + wait).mono >= deadline, "{ppm}");
            assert!(clock.read(2_000 + wait - 3).mono < deadline, "{ppm}");
        }
    }

    #[test]
    fn changing_the_drift_does_not_move_the_hands() {
        let mut clock = Clock::default();
        clock.set_drift(0, 100_000);
        let before = clock.read(1_000_000_000).mono;
        clock.set_drift(1_000_000_000, -100_000);
        assert_eq!(clock.read(1_000_000_000).mono, before);
        assert_eq!(before, Mono::from_nanos(1_100_000_000));
    }
}
