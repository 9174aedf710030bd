//! How sure a measure is, by the bootstrap over seeds, and whether it differs between two designs that had the same
//! seeds.
//!
//! An interval is that of the middle 95 % of what the measure comes to when seeds are drawn again, with replacement
//! (B. Efron 1979), one fewer than there are, which makes its width unbiased (J. N. K. Rao and C. F. J. Wu 1988). The
//! test of a difference exchanges the two designs at random at each seed (R. A. Fisher's randomisation test for pairs).

use serde::Serialize;

use super::measure::Form;
use super::sketch::{middle, rank};
use super::{Measure, Sample};
use crate::random::Random;

/// How often seeds are drawn again.
pub const RESAMPLES: u64 = 1_000;

/// The most parts that are drawn from; neighbouring seeds are taken together where there are more.
const PARTS: usize = 500;

/// A measure, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// What it comes to over all seeds.
    pub value: f64,
    /// The lower end of the 95 % interval; nothing for a single seed.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// How many seeds there were.
    pub seeds: u64,
}

impl Estimate {
    /// Half of the interval's width over the value.
    #[must_use]
    pub fn relative_width(&self) -> Option<f64> {
        let half = (self.high? - self.low?) / 2.0;
        if half == 0.0 { Some(0.0) } else { Some((half / self.value).abs()).filter(|width| width.is_finite()) }
    }
}

/// A measure of two designs that had the same seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first design.
    pub first: Estimate,
    /// The second design.
    pub second: Estimate,
    /// The second less the first.
    pub difference: Estimate,
    /// How likely a difference of this size were if there was none: the p-value of the paired test.
    pub p: f64,
}

/// Samples in a form in which many weighted sums are quick.
struct Pool {
    parts: Vec<Sample>,
    /// What is in each bucket that anyone has, in milliseconds.
    values: Vec<f64>,
    /// For each part, the buckets by their place in `values`.
    counts: Vec<Vec<(u32, u64)>>,
}

impl Pool {
    fn new(parts: Vec<Sample>) -> Self {
        let mut buckets: Vec<u32> =
            parts.iter().flat_map(|part| part.latency.buckets()).map(|(bucket, _)| bucket).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let place = |bucket: u32| buckets.partition_point(|other| *other < bucket) as u32;
        let of = |part: &Sample| part.latency.buckets().map(|(bucket, count)| (place(bucket), count)).collect();
        let counts = parts.iter().map(of).collect();
        let values = buckets.iter().map(|bucket| middle(*bucket) as f64 / 1e6).collect();
        Self { parts, values, counts }
    }

    /// How many values there are in each bucket when each part counts so often.
    fn merged(&self, weights: &[u32]) -> Vec<u64> {
        let mut merged = vec![0; self.values.len()];
        for (counts, weight) in self.counts.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
            counts.iter().for_each(|(place, count)| merged[*place as usize] += count * u64::from(*weight));
        }
        merged
    }

    /// What a measure comes to when each part counts so often.
    fn value(&self, measure: Measure, weights: &[u32], merged: &[u64]) -> Option<f64> {
        match measure.form() {
            Form::Quantile(share) => {
                let rank = rank(merged.iter().sum(), share);
                let mut below = 0;
                let place = merged.iter().position(|count| {
                    below += count;
                    below > rank
                });
                place.map(|place| self.values[place])
            }
            Form::Mean => {
                let count: u64 = merged.iter().sum();
                let sum: f64 = merged.iter().zip(&self.values).map(|(count, value)| *count as f64 * value).sum();
                (count > 0).then(|| sum / count as f64)
            }
            Form::Ratio(of, over, factor) => {
                let sum = |of: fn(&Sample) -> u64| -> u64 {
                    self.parts.iter().zip(weights).map(|(part, weight)| of(part) * u64::from(*weight)).sum()
                };
                let (of, over) = (sum(of), sum(over));
                (over > 0).then(|| factor * of as f64 / over as f64)
            }
        }
    }
}

/// At most [`PARTS`] parts, neighbours together.
fn parts<'s>(samples: impl ExactSizeIterator<Item = &'s Sample>) -> Vec<Sample> {
    let (count, wanted) = (samples.len(), samples.len().min(PARTS));
    let mut parts = vec![Sample::default(); wanted];
    for (place, sample) in samples.enumerate() {
        parts[place * wanted / count].merge(sample);
    }
    parts
}

fn redrawn(count: usize, number: u64, weights: &mut [u32]) {
    weights.fill(0);
    let mut random = Random::stream(count as u64, "bootstrap", number);
    for _ in 1..count {
        weights[random.below(count as u64) as usize] += 1;
    }
}

/// The middle 95 % of these values.
fn middle_of(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get(rank(values.len() as u64, share) as usize).copied();
    at(0.025).zip(at(0.975))
}

fn estimates(measures: &[Measure], samples: &[Sample]) -> Vec<Option<Estimate>> {
    let pool = Pool::new(parts(samples.iter()));
    let count = pool.parts.len();
    let mut weights = vec![1; count];
    let merged = pool.merged(&weights);
    let values: Vec<Option<f64>> = measures.iter().map(|measure| pool.value(*measure, &weights, &merged)).collect();
    let mut drawn = vec![Vec::with_capacity(RESAMPLES as usize); measures.len()];
    for number in (0..RESAMPLES).filter(|_| count > 1) {
        redrawn(count, number, &mut weights);
        let merged = pool.merged(&weights);
        for (measure, drawn) in measures.iter().zip(&mut drawn) {
            drawn.extend(pool.value(*measure, &weights, &merged));
        }
    }
    let estimate = |(value, drawn): (Option<f64>, Vec<f64>)| {
        let interval = middle_of(drawn);
        let (low, high) = (interval.map(|(low, _)| low), interval.map(|(_, high)| high));
        value.map(|value| Estimate { value, low, high, seeds: samples.len() as u64 })
    };
    values.into_iter().zip(drawn).map(estimate).collect()
}

/// What a measure comes to over these runs, one sample for each seed; nothing where there is nothing to measure.
#[must_use]
pub fn estimate(measure: Measure, samples: &[Sample]) -> Option<Estimate> {
    estimates(&[measure], samples).pop().flatten()
}

/// Every measure of these runs that there is something to measure of.
#[must_use]
pub fn overview(samples: &[Sample]) -> Vec<(Measure, Estimate)> {
    let all = Measure::ALL.into_iter().zip(estimates(&Measure::ALL, samples));
    all.filter_map(|(measure, estimate)| Some((measure, estimate?))).collect()
}

/// Compares a measure between two designs; the samples at one place are those of one seed. Nothing where there is
/// nothing to measure.
///
/// # Panics
/// When there is not one sample of each design for each seed.
#[must_use]
pub fn compare(measure: Measure, first: &[Sample], second: &[Sample]) -> Option<Comparison> {
    assert_eq!(first.len(), second.len(), "a pair for each seed");
    let seeds = first.len() as u64;
    let (ones, others) = (parts(first.iter()), parts(second.iter()));
    let count = ones.len();
    let pool = Pool::new(ones.into_iter().chain(others).collect());
    let value = |firsts: &[u32], seconds: &[u32]| {
        let weights = [firsts, seconds].concat();
        pool.value(measure, &weights, &pool.merged(&weights))
    };
    let (none, all) = (vec![0; count], vec![1; count]);
    let difference = |weights: &[u32]| Some(value(&none, weights)? - value(weights, &none)?);
    let observed = difference(&all)?;
    let (mut drawn, mut weights) = (Vec::new(), vec![0; count]);
    let (mut extreme, mut exchanges) = (0, 0);
    for number in (0..RESAMPLES).filter(|_| count > 1) {
        redrawn(count, number, &mut weights);
        drawn.extend(difference(&weights));
        let mut random = Random::stream(count as u64, "exchange", number);
        let (kept, exchanged): (Vec<u32>, Vec<u32>) =
            (0..count).map(|_| random.below(2) as u32).map(|kept| (kept, 1 - kept)).unzip();
        if let Some((first, second)) = value(&kept, &exchanged).zip(value(&exchanged, &kept)) {
            exchanges += 1;
            extreme += u64::from((second - first).abs() >= observed.abs());
        }
    }
    let interval = middle_of(drawn);
    let (low, high) = (interval.map(|(low, _)| low), interval.map(|(_, high)| high));
    Some(Comparison {
        first: estimate(measure, first)?,
        second: estimate(measure, second)?,
        difference: Estimate { value: observed, low, high, seeds },
        p: (extreme + 1) as f64 / (exchanges + 1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latencies around a mean that differs from seed to seed, in nanoseconds.
    fn samples(world: u64, seeds: u64, least: u64) -> Vec<Sample> {
        (0..seeds)
            .map(|seed| {
                let mut random = Random::stream(world, "samples", seed);
                let base = least + random.below(100_000_000);
                let latency = (0..20).map(|_| base + random.below(50_000_000)).collect();
                Sample { started: 20, completed: 15 + random.below(6), latency, ..Sample::default() }
            })
            .collect()
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_what_is_true() {
        // The medians and means of the distribution above: 100 + 50 + 25 ms.
        let truth = |measure| if measure == Measure::Completed { 87.5 } else { 175.0 };
        for measure in [Measure::LatencyP50, Measure::LatencyMean, Measure::Completed] {
            let held = (0..100).filter(|world| {
                let Estimate { low, high, .. } =
                    estimate(measure, &samples(*world, 25, 100_000_000)).expect("there are values");
                (low.expect("many seeds")..=high.expect("many seeds")).contains(&truth(measure))
            });
            let held = held.count();
            assert!((86..=99).contains(&held), "{}: {held} of 100", measure.name());
        }
    }

    #[test]
    fn seeds_are_what_is_drawn_again_and_one_says_nothing_about_others() {
        let one = estimate(Measure::LatencyP50, &samples(1, 1, 100_000_000)).expect("values");
        assert_eq!((one.low, one.high, one.relative_width()), (None, None, None));
        assert_eq!(estimate(Measure::LatencyP50, &[Sample::default(), Sample::default()]), None);
        assert_eq!(estimate(Measure::Completed, &[]), None);
        let width = |seeds| estimate(Measure::LatencyMean, &samples(1, seeds, 100_000_000)).unwrap().relative_width();
        let (few, many) = (width(20).unwrap(), width(320).unwrap());
        assert!(many < 0.4 * few && many > 0.15 * few, "a fourth with sixteen times as many: {few}, {many}");
        // More than are drawn one by one.
        let thousands = width(3_000).unwrap();
        assert!(thousands < 0.5 * many, "{thousands}, {many}");
    }

    #[test]
    fn a_paired_test_sees_what_differs_and_nothing_where_nothing_does() {
        let (one, same) = (samples(1, 25, 100_000_000), samples(1, 25, 100_000_000));
        let none = compare(Measure::LatencyP50, &one, &same).expect("values");
        assert_eq!((none.difference.value, none.p), (0.0, 1.0));
        // The same seeds ten milliseconds later: hidden between seeds, plain within pairs.
        let later = compare(Measure::LatencyP50, &one, &samples(1, 25, 110_000_000)).expect("values");
        assert!(later.first.high > later.second.low, "the intervals by themselves do not part: {later:?}");
        assert!(later.p < 0.01 && later.difference.low > Some(5.0) && later.difference.high < Some(15.0), "{later:?}");
        let false_alarms = (0..100).filter(|world| {
            let others = compare(Measure::LatencyMean, &samples(*world, 12, 9), &samples(world + 1_000, 12, 9));
            others.expect("values").p <= 0.05
        });
        let false_alarms = false_alarms.count();
        assert!((1..=11).contains(&false_alarms), "{false_alarms} of 100");
    }
}
