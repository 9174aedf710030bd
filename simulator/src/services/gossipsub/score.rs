//! The score of a neighbour, with the parameters of our nodes.
//!
//! Invariant: four invalid messages within an hour outweigh any credit.

use crate::engine::Nanos;

/// The score thresholds.
pub(super) struct Thresholds;

impl Thresholds {
    /// Below this, no lazy gossip is exchanged.
    pub(super) const GOSSIP: f64 = -20.0;
    /// Below this, own messages are not sent to it.
    pub(super) const PUBLISH: f64 = -60.0;
    /// Below this, its messages are ignored.
    pub(super) const GRAYLIST: f64 = -120.0;
}

const SECOND: f64 = 1e9;
/// One point for five minutes in the mesh, and no more.
const MESH_SECONDS: f64 = 300.0;
const FIRST_DELIVERY: f64 = 0.1;
const FIRST_DELIVERIES: f64 = 20.0;
const INVALID: f64 = -20.0;
/// The factor of a count's decay each second: a tenth is left after ten minutes, and after an hour.
const FIRST_DECAY: f64 = 0.996_169_7;
const INVALID_DECAY: f64 = 0.999_360_6;
/// Counts below this are set to zero.
const NOTHING: f64 = 0.1;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Score {
    in_mesh_since: Option<Nanos>,
    first_deliveries: f64,
    invalid: f64,
}

impl Score {
    pub(super) fn value(&self, now: Nanos) -> f64 {
        let in_mesh = self.in_mesh_since.map_or(0.0, |since| now.saturating_sub(since) as f64 / SECOND);
        let credit = in_mesh.min(MESH_SECONDS) / MESH_SECONDS + self.first_deliveries * FIRST_DELIVERY;
        credit + self.invalid * self.invalid * INVALID
    }

    pub(super) fn on_first_delivery(&mut self) {
        self.first_deliveries = (self.first_deliveries + 1.0).min(FIRST_DELIVERIES);
    }

    pub(super) fn on_invalid(&mut self) {
        self.invalid += 1.0;
    }

    pub(super) const fn on_mesh(&mut self, now: Nanos) {
        self.in_mesh_since = Some(now);
    }

    pub(super) const fn off_mesh(&mut self) {
        self.in_mesh_since = None;
    }

    /// A second has passed.
    pub(super) fn decay(&mut self) {
        for (count, decay) in [(&mut self.first_deliveries, FIRST_DECAY), (&mut self.invalid, INVALID_DECAY)] {
            *count *= decay;
            if *count < NOTHING {
                *count = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_invalid_messages_outweigh_any_credit_for_half_an_hour() {
        let mut score = Score::default();
        score.on_mesh(0);
        (0..1000).for_each(|_| score.on_first_delivery());
        let now = 1_000_000_000_000;
        assert!((2.9..=3.0).contains(&score.value(now)));
        (0..4).for_each(|_| score.on_invalid());
        assert!(score.value(now) < Thresholds::GRAYLIST);
        (0..300).for_each(|_| score.decay());
        assert!(score.value(now) < Thresholds::GRAYLIST, "{}", score.value(now));
        (0..7200).for_each(|_| score.decay());
        assert!(score.value(now) > 0.0, "all is forgotten in the end");
    }
}
