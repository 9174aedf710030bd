//! How much of who is paid which output shows, counted over all orders that a settlement can have. The numbers stand in
//! `docs/src/swapsig.md`.

mod orders;

use std::collections::BTreeMap;

use orders::orders;

const BOOK: &str = include_str!("../../../docs/src/swapsig.md");

/// Between how many people an output of an honest one may be, for some participants who tell each other what they know:
/// two to the power of the entropy, and the smallest that there is.
fn effective(count: usize, colluders: usize) -> (f64, f64) {
    let orders = orders(count);
    // They know their own outputs, and so which orders are left.
    let known = |order: &[usize]| -> Vec<Option<usize>> {
        order.iter().map(|receiver| (*receiver < colluders).then_some(*receiver)).collect()
    };
    let mut left: BTreeMap<Vec<Option<usize>>, Vec<&Vec<usize>>> = BTreeMap::new();
    orders.iter().for_each(|order| left.entry(known(order)).or_default().push(order));
    let (mut sum, mut least, mut outputs) = (0.0, f64::MAX, 0);
    for (known, orders) in &left {
        for output in (0..count).filter(|output| known[*output].is_none()) {
            let mut receivers = BTreeMap::<usize, f64>::new();
            orders.iter().for_each(|order| *receivers.entry(order[output]).or_default() += 1.0);
            let total = orders.len() as f64;
            let entropy: f64 = receivers.values().map(|times| -(times / total) * (times / total).log2()).sum();
            // Each order is as likely as any other.
            sum += entropy.exp2() * total;
            outputs += orders.len();
            least = least.min(entropy.exp2());
        }
    }
    (sum / outputs as f64, least)
}

#[test]
fn what_the_book_says_of_what_can_be_linked() {
    let mut missing = Vec::new();
    for count in [3, 5, 7] {
        for colluders in 0..count - 1 {
            let (mean, least) = effective(count, colluders);
            let row = format!("| {count} | {colluders} | {} | {mean:.2} | {least:.2} |", count - colluders);
            if !BOOK.lines().any(|line| line == row) {
                missing.push(row);
            }
        }
    }
    assert!(missing.is_empty(), "the book lacks these rows:\n{}", missing.join("\n"));
}
