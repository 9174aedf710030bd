//! When to try again.
//!
//! Owns the delays between attempts to reach a peer and the small generator that spreads them. Invariant: a delay grows
//! with each failure up to a limit, and two nodes that fail together do not try again together. The generator serves
//! nothing but this: no key and no nonce ever comes from it. Driven by [`super::kept`].

use std::time::Duration;

const BASE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const SPREAD: f64 = 0.3;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Backoff {
    state: u64,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The delay after this many failures in a row, the first of which is number one.
    pub(crate) fn delay(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let delay = BASE.saturating_mul(1 << doublings).min(LONGEST);
        delay.mul_f64(1.0 + SPREAD * (2.0 * self.fraction() - 1.0))
    }

    /// Steele, Lea and Flood's SplitMix64, as a number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_are_spread_by_less_than_a_third() {
        let mut backoff = Backoff::new(1);
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (40, 60.0), (u32::MAX, 60.0)] {
            for _ in 0..100 {
                let delay = backoff.delay(failures).as_secs_f64();
                assert!((seconds * 0.7..=seconds * 1.3).contains(&delay), "{failures}: {delay}");
            }
        }
    }

    #[test]
    fn two_seeds_do_not_agree() {
        let (mut one, mut other) = (Backoff::new(1), Backoff::new(2));
        assert!((1..20).all(|failures| one.delay(failures) != other.delay(failures)));
    }
}
