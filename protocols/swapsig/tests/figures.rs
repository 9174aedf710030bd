//! What a pool takes on nodes with the core's sessions, everything counted that they send. The numbers stand in
//! `docs/src/swapsig.md`.

mod support;

use support::{run, schedule};

const BOOK: &str = include_str!("../../../docs/src/swapsig.md");
const SEEDS: u64 = 8;

/// The mean of some values, and the half of its interval of 95 % (Student's t for eight).
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    assert_eq!(values.len(), 8, "the factor is that of eight");
    (mean, 2.365 * (variance / count).sqrt())
}

#[test]
fn what_a_pool_takes_on_nodes_is_what_the_book_says() {
    let mut missing = Vec::new();
    for nodes in [5, 10] {
        let mut columns = [const { Vec::new() }; 3];
        for seed in 0..SEEDS {
            let outcome = run(&schedule(seed, nodes, false));
            assert_eq!(outcome.complete, (0..nodes).collect(), "seed {seed}");
            let (messages, bytes) = outcome.sent;
            let seconds = outcome.signed_ms.expect("everything was signed") as f64 / 1_000.0;
            let row = [seconds, messages as f64, bytes as f64 / 1_000.0];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [seconds, messages, kilobytes] = columns.map(|column| mean(&column));
        let row = format!(
            "| {nodes} | {:.1} ± {:.1} | {:.0} ± {:.0} | {:.0} ± {:.0} |",
            seconds.0, seconds.1, messages.0, messages.1, kilobytes.0, kilobytes.1
        );
        if !BOOK.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "the book lacks these rows:\n{}", missing.join("\n"));
}
