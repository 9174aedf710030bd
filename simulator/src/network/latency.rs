//! How long a message takes from one machine to another.

use super::quantiles::{PIECES, log_normal};
use crate::engine::Nanos;
use crate::random::Random;

/// The regions of the measured table, by their number.
pub const REGIONS: [&str; 8] =
    ["us-east", "us-west", "eu-west", "eu-central", "ap-southeast", "ap-northeast", "ap-south", "sa-east"];

/// Round trips between regions of a large cloud in milliseconds, medians as its public monitors show them, rounded.
const ROUND_TRIPS: [[u16; 8]; 8] = [
    [2, 62, 68, 92, 214, 148, 188, 114],
    [62, 2, 130, 148, 168, 98, 222, 174],
    [68, 130, 2, 26, 174, 202, 122, 178],
    [92, 148, 26, 2, 160, 226, 110, 202],
    [214, 168, 174, 160, 2, 70, 64, 326],
    [148, 98, 202, 226, 70, 2, 130, 256],
    [188, 222, 122, 110, 64, 130, 2, 300],
    [114, 174, 178, 202, 326, 256, 300, 2],
];

/// How long messages take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Every message takes as long.
    Fixed(Nanos),
    /// Drawn evenly between two bounds.
    Uniform {
        /// The least latency.
        low: Nanos,
        /// The difference between the greatest latency and the least.
        span: Nanos,
    },
    /// Drawn from a table of quantiles, and added to a least latency.
    Quantiles {
        /// The latency that is added to each.
        least: Nanos,
        /// The quantiles at equal steps.
        table: Box<[u64]>,
    },
    /// By the regions of the two ends.
    Regions(Box<Regions>),
}

/// Latencies between regions: a part that the distance decides, and a part that is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    one_way: [[Nanos; 8]; 8],
    /// Thousandths of the distance to add, as quantiles.
    jitter: Box<[u64]>,
}

impl Latency {
    /// A log-normal latency above a least one.
    #[must_use]
    pub fn log_normal(least: Nanos, median: Nanos, sigma: f64) -> Self {
        Self::Quantiles { least, table: log_normal(median as f64, sigma) }
    }

    /// The measured table of regions, with a long-tailed jitter of a twentieth of the distance in the middle.
    #[must_use]
    pub fn regions() -> Self {
        let one_way = ROUND_TRIPS.map(|row| row.map(|millis| Nanos::from(millis) * 500_000));
        Self::Regions(Box::new(Regions { one_way, jitter: log_normal(50.0, 0.8) }))
    }

    /// The least that is ever drawn.
    #[must_use]
    pub const fn least(&self) -> Nanos {
        match self {
            Self::Fixed(latency) => *latency,
            Self::Uniform { low, .. } => *low,
            Self::Quantiles { least, .. } => *least,
            Self::Regions(_) => 1_000_000,
        }
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Nanos {
        let mean = |values: &mut dyn Iterator<Item = u64>| {
            let (sum, count) =
                values.fold((0_u128, 0_u128), |(sum, count), value| (sum + u128::from(value), count + 1));
            (sum / count.max(1)) as u64
        };
        match self {
            Self::Fixed(latency) => *latency,
            Self::Uniform { low, span } => low + span / 2,
            Self::Quantiles { least, table } => least + mean(&mut table.iter().copied()),
            Self::Regions(regions) => {
                let distance = mean(&mut regions.one_way.iter().flatten().copied());
                distance + distance / 1000 * mean(&mut regions.jitter.iter().copied())
            }
        }
    }

    #[inline(always)]
    pub(super) fn draw(&self, random: &mut Random, here: u8, there: u8) -> Nanos {
        match self {
            Self::Fixed(latency) => *latency,
            Self::Uniform { low, span } => low + random.below(*span),
            Self::Quantiles { least, table } => least + quantile(table, random.draw()),
            Self::Regions(regions) => {
                let distance = regions.one_way[usize::from(here % 8)][usize::from(there % 8)];
                distance + distance / 1000 * quantile(&regions.jitter, random.draw())
            }
        }
    }
}

/// The value at a random place of the table, between two of its points.
#[inline]
fn quantile(table: &[u64], random: u64) -> u64 {
    let place = u128::from(random) * PIECES as u128;
    let (piece, rest) = ((place >> 64) as usize, (place as u64) >> 32);
    let (low, high) = (table[piece], table[piece + 1]);
    low + (((high - low) as u128 * u128::from(rest)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_latencies_have_their_least_and_their_mean() {
        let all = [
            Latency::Fixed(10),
            Latency::Uniform { low: 10_000_000, span: 40_000_000 },
            Latency::log_normal(5_000_000, 20_000_000, 0.6),
            Latency::regions(),
        ];
        for latency in all {
            let mut random = Random::stream(1, "latency", 0);
            let mut draw = || {
                let (here, there) = (random.below(8) as u8, random.below(8) as u8);
                latency.draw(&mut random, here, there)
            };
            let drawn: Vec<u64> = (0..50_000).map(|_| draw()).collect();
            assert!(drawn.iter().all(|one| *one >= latency.least()), "{latency:?}");
            let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
            let (low, high) = (latency.mean() / 100 * 97, latency.mean() / 100 * 103);
            assert!((low..=high.max(low + 10)).contains(&mean), "{mean} is not near {}", latency.mean());
        }
    }
}
