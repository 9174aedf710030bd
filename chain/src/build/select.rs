//! Which coins a payment spends.
//!
//! Owns the two known ways: branch and bound, which looks for coins that need no change (Erhardt, "An Evaluation of
//! Coin Selection Strategies", 2016), and the largest first. Invariant: the same coins give the same choice, after a
//! bounded number of steps. The builder drives it.

/// A coin, as far as choosing goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Its place among the coins that were given.
    pub(super) index: usize,
    /// What it adds beyond the fee of its own input, in satoshi; more than nothing.
    pub(super) effective: u64,
}

/// How often branch and bound looks at a coin; as in Bitcoin Core.
const STEPS: usize = 100_000;

/// Coins whose effective values come to at least `target` and to at most `target + tolerance`, as near to it as a
/// bounded search finds. `candidates` are in descending order.
pub(super) fn without_change(candidates: &[Candidate], target: u64, tolerance: u64) -> Option<Vec<usize>> {
    let mut available: u64 = candidates.iter().map(|candidate| candidate.effective).sum();
    let most = target.saturating_add(tolerance);
    let mut chosen: Vec<usize> = Vec::new();
    let mut sum = 0;
    let mut best: Option<(u64, Vec<usize>)> = None;
    let mut next = 0;
    for _ in 0..STEPS {
        let hopeless = sum + available < target || sum > most || best.as_ref().is_some_and(|(best, _)| sum >= *best);
        if !hopeless && sum >= target {
            best = Some((sum, chosen.clone()));
        }
        if hopeless || sum >= target || next == candidates.len() {
            // Back to the last coin that was taken, and on without it.
            let Some(last) = chosen.pop() else { break };
            available += candidates[last + 1..next].iter().map(|candidate| candidate.effective).sum::<u64>();
            sum -= candidates[last].effective;
            next = last + 1;
        } else {
            available -= candidates[next].effective;
            // One of equal coins is as good as the other, so what was tried with the first is not tried again.
            let twin_left_out = next > 0
                && chosen.last() != Some(&(next - 1))
                && candidates[next].effective == candidates[next - 1].effective;
            if !twin_left_out {
                sum += candidates[next].effective;
                chosen.push(next);
            }
            next += 1;
        }
    }
    best.map(|(_, places)| places.into_iter().map(|place| candidates[place].index).collect())
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn candidates(values: &[u64]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> =
            values.iter().enumerate().map(|(index, value)| Candidate { index, effective: *value }).collect();
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.effective));
        candidates
    }

    /// The nearest sum by trying every set.
    fn nearest(values: &[u64], target: u64, tolerance: u64) -> Option<u64> {
        let sum = |set: u32| (0..).zip(values).filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, value)| value).sum();
        (0..1u32 << values.len()).map(sum).filter(|sum| (target..=target + tolerance).contains(sum)).min()
    }

    quickcheck! {
        fn it_finds_the_nearest_sum_where_there_is_one(values: Vec<u8>, target: u16, tolerance: u8) -> bool {
            let values: Vec<u64> = values.iter().take(10).map(|value| u64::from(*value) + 1).collect();
            let (target, tolerance) = (u64::from(target) % 1_000 + 1, u64::from(tolerance));
            let found = without_change(&candidates(&values), target, tolerance);
            let sum = found.map(|chosen| chosen.iter().map(|index| values[*index]).sum::<u64>());
            sum == nearest(&values, target, tolerance)
        }
    }

    /// No two sets of these have the same sum, and none fits: the worst case.
    #[test]
    fn it_gives_up_in_the_end() {
        let values: Vec<u64> = (0..60).map(|bit| (1 << 40) + (1 << (bit % 40))).collect();
        assert_eq!(without_change(&candidates(&values), (1 << 44) + 12_345, 0), None);
    }
}
