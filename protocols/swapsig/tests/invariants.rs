//! What holds whatever happens: drawn worlds, each from a seed. `.ci/campaign swaps` runs ten thousand.
#![allow(clippy::print_stdout, reason = "a campaign reads the counts")]

use std::collections::BTreeMap;

use nelumbo_swapsig::simulation::{Fate, Setting, World};

/// Runs a world to its end, and looks at it at every step.
fn run(seed: u64) -> BTreeMap<Fate, usize> {
    let mut world = World::new(Setting::drawn(seed));
    world.run_checked().and_then(|()| world.audit()).unwrap_or_else(|what| panic!("seed {seed}: {what}")).fates
}

/// Which worlds: three hundred, or those of `NELUMBO_POOLS=FROM..TO`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("NELUMBO_POOLS") else { return 0..300 };
    let (from, to) = range.split_once("..").expect("FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn nobody_loses_money_and_every_pool_ends_in_three_hundred_worlds() {
    let mut fates = BTreeMap::<Fate, usize>::new();
    let seeds = seeds();
    for seed in seeds.clone() {
        for (fate, count) in run(seed) {
            *fates.entry(fate).or_default() += count;
        }
    }
    println!("{} worlds: {fates:?}", seeds.end - seeds.start);
    // Worlds in which nothing goes wrong, or everything does, would show nothing.
    for fate in [Fate::Completed, Fate::Untouched, Fate::Refunded] {
        let is_enough = fates.get(&fate).is_some_and(|count| *count as u64 * 15 > seeds.end - seeds.start);
        assert!(is_enough || seeds.end - seeds.start < 300, "{fates:?}");
    }
}
