//! A distribution in little room, whose quantiles are right to within 0.4 %.
//!
//! The buckets are those of an HDR histogram (G. Tene): a value is kept by its highest eight bits. They are whole
//! numbers, so that sketches are the same on every machine, which the logarithms of other sketches are not.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many buckets there are for each power of two.
const BUCKETS: u64 = 128;

/// How often values of about each size have occurred.
///
/// A quantile differs from the exact one by at most 1/256 of it, below 0.4 %. Sketches of parts merge to the sketch of
/// the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sketch {
    counts: BTreeMap<u32, u64>,
}

const fn bucket(value: u64) -> u32 {
    if value < BUCKETS {
        return value as u32;
    }
    let shift = value.ilog2() - BUCKETS.ilog2();
    (shift + 1) * BUCKETS as u32 + ((value >> shift) - BUCKETS) as u32
}

/// The middle of a bucket.
pub(super) const fn middle(bucket: u32) -> u64 {
    if (bucket as u64) < BUCKETS {
        return bucket as u64;
    }
    let shift = bucket / BUCKETS as u32 - 1;
    let low = (bucket as u64 % BUCKETS + BUCKETS) << shift;
    low + (1_u64 << shift) / 2
}

/// The place of a quantile among so many values in order.
pub(super) fn rank(count: u64, share: f64) -> u64 {
    (count.saturating_sub(1) as f64 * share).round() as u64
}

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        *self.counts.entry(bucket(value)).or_default() += 1;
    }

    /// Adds everything that another sketch has.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The value that so large a share of all values do not exceed; nothing if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = rank(self.count(), share);
        let mut below = 0;
        let reaches = |(_, count): &(&u32, &u64)| {
            below += **count;
            below > rank
        };
        self.counts.iter().find(reaches).map(|(bucket, _)| middle(*bucket))
    }

    /// The buckets with what is in them, the least first.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (u32, u64)> {
        self.counts.iter().map(|(bucket, count)| (*bucket, *count))
    }
}

impl FromIterator<u64> for Sketch {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut sketch = Self::default();
        values.into_iter().for_each(|value| sketch.add(value));
        sketch
    }
}

/// Buckets with their counts: `3720:5 3731:1`.
impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (bucket, count)) in self.counts.iter().enumerate() {
            write!(f, "{}{bucket}:{count}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Sketch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut counts = BTreeMap::new();
        for part in text.split_whitespace() {
            let parsed = part.split_once(':').and_then(|(bucket, count)| {
                let (bucket, count): (u32, u64) = (bucket.parse().ok()?, count.parse().ok()?);
                (bucket <= self::bucket(u64::MAX) && count > 0 && count < 1 << 48).then_some((bucket, count))
            });
            let (bucket, count) = parsed.ok_or_else(|| format!("{part:?} is no bucket with its count"))?;
            if counts.insert(bucket, count).is_some() {
                return Err(format!("the bucket {bucket} is there twice"));
            }
        }
        Ok(Self { counts })
    }
}

impl TryFrom<String> for Sketch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> Self {
        sketch.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn every_value_is_in_a_bucket_whose_middle_is_near() {
        let mut random = Random::stream(1, "sketch", 0);
        let drawn = (0..100_000).map(|_| random.draw() >> (random.below(64)));
        for value in (0..10_000).chain(drawn).chain([u64::MAX, 1 << 63, 127, 128, 255, 256]) {
            let middle = middle(bucket(value));
            assert!(value.abs_diff(middle) <= value / 256, "{value} is taken for {middle}");
            assert!(bucket(value) >= bucket(value - value.min(1)), "buckets are in order at {value}");
        }
    }

    #[test]
    fn quantiles_are_right_to_within_the_stated_error_and_parts_merge() {
        let mut random = Random::stream(2, "sketch", 0);
        let mut values: Vec<u64> = (0..5_000).map(|_| random.draw() >> (20 + random.below(30))).collect();
        let whole: Sketch = values.iter().copied().collect();
        let mut merged = Sketch::default();
        values.chunks(777).rev().for_each(|part| merged.merge(&part.iter().copied().collect()));
        assert_eq!(merged, whole);
        assert_eq!(whole.to_string().parse(), Ok(merged));
        values.sort_unstable();
        for share in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
            let exact = values[(4_999.0_f64 * share).round() as usize];
            let found = whole.quantile(share).expect("there are values");
            assert!(found.abs_diff(exact) <= exact / 256, "{share}: {found} for {exact}");
        }
        assert_eq!(Sketch::default().quantile(0.5), None);
        for wrong in ["5", "a:1", "1:0", "1:1 1:2", "99999:1", "1:999999999999999999"] {
            assert!(wrong.parse::<Sketch>().is_err(), "{wrong}");
        }
    }
}
