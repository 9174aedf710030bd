//! The two clocks that a host hands in, as integers.
//!
//! Timers use [`Mono`] only, and wake; [`Wall`] decides what is over. What protects a nonce is forgotten when it is
//! over by both, because either may be wrong: a wrong clock may delay or prevent a signature, but never cause two with
//! one nonce.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Monotonic time: nanoseconds since an origin that the host chose, for timers. It never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(u64);

impl Mono {
    /// The host's origin.
    pub const ZERO: Self = Self(0);

    /// The end of time, at which sums saturate. No timer fires there.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This time plus `delay`; saturates at the end of time.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this one; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Wall-clock time: milliseconds since 1970-01-01 UTC, for what is compared with other people's clocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(u64);

impl Wall {
    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time plus `delay`, or `None` past the end of the integers.
    pub fn checked_add(self, delay: Duration) -> Option<Self> {
        self.0.checked_add(u64::try_from(delay.as_millis()).ok()?).map(Self)
    }

    /// The time from `earlier` to this one; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// As RFC 3339 has it, in UTC: `2026-01-01T00:00:00.000Z`.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Years from March on, so that the day that leap years have more is the last one; in eras of 400 of them
        // (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day = day_of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + 400 * era + u64::from(month <= 2);
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Both clocks, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// For freshness.
    pub wall: Wall,
}

impl Now {
    /// By how much the clocks have parted since then, when one has run further than the other: the machine slept, or
    /// the wall clock was set.
    pub(crate) fn parted_since(&self, then: &Self) -> Duration {
        let run = i128::from(self.mono.0 / 1_000_000) - i128::from(then.mono.0 / 1_000_000);
        let shown = i128::from(self.wall.0) - i128::from(then.wall.0);
        Duration::from_millis(u64::try_from(shown.abs_diff(run)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Wall::from_millis(millis).to_string(), text);
        }
        assert_eq!(Wall::from_millis(u64::MAX).to_string(), "584556019-04-03T14:25:51.615Z");
    }

    #[test]
    fn clocks_part_when_one_runs_further_than_the_other_whichever_it_is() {
        let at = |seconds: u64, wall: u64| Now {
            mono: Mono::from_nanos(seconds * 1_000_000_000),
            wall: Wall::from_millis(wall * 1_000),
        };
        let parted = |one: Now, other: Now| other.parted_since(&one).as_secs();
        assert_eq!(parted(at(5, 1_000), at(65, 1_060)), 0);
        assert_eq!(parted(at(5, 1_000), at(65, 2_060)), 1_000, "it slept, or the clock was behind");
        assert_eq!(parted(at(5, 1_000), at(65, 60)), 1_000, "the clock was ahead");
        assert_eq!(parted(at(5, 1_000), at(65, 1_000)), 60, "the clock stands still");
        let (first, last) = (Now::default(), Now { mono: Mono::MAX, wall: Wall::from_millis(u64::MAX) });
        assert!(first.parted_since(&last) == last.parted_since(&first) && last.parted_since(&first) > Duration::ZERO);
    }
}
