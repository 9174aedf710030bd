//! One machine's clocks, and how they differ from virtual time.
//!
//! Invariant: the monotonic clock never goes back, whatever happens to the wall clock. While the machine sleeps the
//! monotonic clock stands still and the wall clock goes on.

use nelumbo_core::base::{Mono, Now, Wall};

use crate::engine::Nanos;
use crate::schedule::MILLISECOND;

/// When the simulated calendar begins: 2026-01-01 UTC, in milliseconds.
pub(crate) const WALL_ORIGIN: i64 = 1_767_225_600_000;

/// A monotonic and a wall clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// By how much the wall clock is ahead, in milliseconds.
    pub(super) ahead: i64,
    drift: i32,
    /// When the machine wakes up; 0 while it is awake.
    asleep_until: Nanos,
    /// Whether nodes are shown a wall clock that stands still.
    is_stopped: bool,
    /// When the drift was set, or the machine fell asleep, in virtual time and by the monotonic clock.
    since: (Nanos, Nanos),
}

impl Clock {
    pub(super) fn set_drift(&mut self, now: Nanos, ppm: i32) {
        self.since = (now, self.mono(now));
        // A clock that stands still or runs backwards would be no clock.
        self.drift = ppm.clamp(-500_000, 500_000);
    }

    /// The machine falls asleep until then.
    pub(super) fn sleep(&mut self, now: Nanos, until: Nanos) {
        self.since = (now, self.mono(now));
        self.asleep_until = until;
    }

    /// The machine wakes up, if it is asleep.
    pub(super) fn wake(&mut self, now: Nanos) {
        if std::mem::take(&mut self.asleep_until) > 0 {
            let (then, mono) = self.since;
            self.ahead = self.ahead.saturating_add_unsigned((now - then) / MILLISECOND);
            self.since = (now, mono);
        }
    }

    pub(super) const fn is_asleep(&self) -> bool {
        self.asleep_until > 0
    }

    /// When the machine wakes up, while it is asleep.
    pub(super) const fn asleep_until(&self) -> Nanos {
        self.asleep_until
    }

    /// From now on nodes are shown a wall clock that stands still.
    pub(super) fn stop(&mut self, now: Nanos) {
        self.since = (now, self.mono(now));
        self.is_stopped = true;
    }

    fn mono(&self, now: Nanos) -> Nanos {
        let (then, mono) = self.since;
        if self.is_asleep() {
            return mono;
        }
        let passed = i128::from(now - then);
        mono + u64::try_from(passed + passed * i128::from(self.drift) / 1_000_000).unwrap_or(0)
    }

    /// What a node is shown.
    pub(super) fn read(&self, now: Nanos) -> Now {
        let mono = self.mono(now);
        let wall = self.wall_at(if self.is_stopped { self.since.1 } else { mono });
        Now { mono: Mono::from_nanos(mono), wall }
    }

    /// The time by the machine's wall clock, whatever nodes are shown.
    pub(super) fn wall(&self, now: Nanos) -> Wall {
        self.wall_at(self.mono(now))
    }

    fn wall_at(&self, mono: Nanos) -> Wall {
        let wall = WALL_ORIGIN.saturating_add(self.ahead).saturating_add_unsigned(mono / MILLISECOND);
        Wall::from_millis(u64::try_from(wall).unwrap_or(0))
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
    fn who_sleeps_finds_the_wall_clock_ahead_and_the_monotonic_one_where_it_was() {
        let (mut clock, hour) = (Clock::default(), 3_600_000 * MILLISECOND);
        let before = clock.read(hour);
        clock.sleep(hour, 3 * hour);
        assert_eq!(clock.read(3 * hour).mono, before.mono);
        clock.wake(3 * hour);
        let after = clock.read(3 * hour);
        assert_eq!(after.mono, before.mono);
        assert_eq!(after.wall.as_millis() - before.wall.as_millis(), 2 * 3_600_000);
        clock.wake(4 * hour);
        assert_eq!(clock.read(4 * hour).mono, Mono::from_nanos(2 * hour), "nobody wakes who is awake");
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
