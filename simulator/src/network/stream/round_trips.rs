//! How long a round trip takes, as measured, and how long to wait for one (RFC 6298; RFC 9002, section 5).

use super::Parameters;
use crate::engine::Nanos;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrips {
    smoothed: Nanos,
    deviation: Nanos,
    latest: Nanos,
}

impl RoundTrips {
    pub(super) fn measure(&mut self, took: Nanos) {
        self.latest = took;
        if self.smoothed == 0 {
            (self.smoothed, self.deviation) = (took.max(1), took / 2);
        } else {
            self.deviation = (3 * self.deviation + self.smoothed.abs_diff(took)) / 4;
            self.smoothed = ((7 * self.smoothed + took) / 8).max(1);
        }
    }

    /// How long to wait for an acknowledgement of anything at all.
    pub(super) fn timeout(&self, parameters: &Parameters) -> Nanos {
        match self.smoothed {
            0 => parameters.first_timeout,
            smoothed => {
                let margin = (4 * self.deviation).max(super::MILLISECOND) + parameters.ack_delay;
                (smoothed + margin).max(parameters.least_timeout)
            }
        }
    }

    /// How long to wait for an acknowledgement of a packet when one that was sent later has been acknowledged.
    pub(super) fn patience(&self, parameters: &Parameters) -> Nanos {
        (self.smoothed.max(self.latest) / 8 * parameters.patience).max(super::MILLISECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MILLISECOND, QUIC, TCP};
    use super::*;

    #[test]
    fn timeouts_are_those_of_the_standards() {
        let mut round_trips = RoundTrips::default();
        let timeouts = |round_trips: &RoundTrips| [&TCP, &QUIC].map(|it| round_trips.timeout(it) / MILLISECOND);
        assert_eq!(timeouts(&round_trips), [1_000, 999]);
        round_trips.measure(100 * MILLISECOND);
        // 100 + 4 · 50, and QUIC's 25 for the other end's delay.
        assert_eq!(timeouts(&round_trips), [300, 325]);
        round_trips.measure(100 * MILLISECOND);
        assert_eq!(timeouts(&round_trips), [250, 275], "the deviation decays by a quarter");
        (0..40).for_each(|_| round_trips.measure(100 * MILLISECOND));
        assert_eq!(timeouts(&round_trips), [200, 126], "not below Linux's least");
        assert_eq!([&TCP, &QUIC].map(|it| round_trips.patience(it)), [125 * MILLISECOND, 112_500_000]);
    }
}
