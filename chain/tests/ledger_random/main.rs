//! Transactions at random, valid and broken by one rule each, judged as the facts say.
//!
//! Ten thousand of them in an optimised build, and fewer otherwise; `NELUMBO_TRANSACTIONS` and `NELUMBO_SEED` choose.

mod broken;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeMap;

use broken::KINDS;
use support::{Owner, Style, Way};
use world::{Draft, World};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Signs each input with a hash type of its own.
fn sign_variously(world: &mut World, draft: &mut Draft) {
    let outputs = draft.transaction.outputs.len();
    for input in 0..draft.coins.len() {
        let is_key_path = matches!(draft.coins[input].owner.way, Way::KeyPath { .. });
        let algorithm = if is_key_path || world.random.below(2) == 0 { 0x60 } else { 0x40 };
        let base = match world.random.below(if input < outputs { 4 } else { 3 }) {
            0 | 1 => 1,
            2 => 2,
            _ => 3,
        };
        let anyone_can_pay = if world.random.below(3) == 0 { 0x80 } else { 0 };
        let style =
            Style { hash_type: algorithm | base | anyone_can_pay, replay_protected: world.ledger.replay_protected() };
        draft.sign_input(input, style);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the campaign counts what is printed")]
fn transactions_are_judged_as_the_node_judges_them() {
    let usual = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let (transactions, seed) = (setting("NELUMBO_TRANSACTIONS", usual), setting("NELUMBO_SEED", 1));
    let mut world = World::new(seed);
    let mut refused: BTreeMap<&str, u64> = KINDS.iter().map(|(name, _)| (*name, 0)).collect();
    let (mut accepted, mut protected, mut judged) = (0, 0, 0);
    while judged < transactions {
        if world.random.below(2) == 0 {
            let coins = world.ripe(|coin| coin.output.value > 10_000);
            let Some(mut draft) = world.draft(&coins) else {
                world.mine();
                continue;
            };
            // The world numbers its owners in order, so the last ones are those of this draft.
            let owners: Vec<Owner> = world.newest_owners();
            sign_variously(&mut world, &mut draft);
            if let Err(text) = world.send(&draft, &owners) {
                panic!("seed {seed}, after {judged}: a valid transaction is refused: {text}");
            }
            accepted += 1;
            protected += u64::from(world.ledger.replay_protected());
        } else {
            let (name, kind) = KINDS[world.random.below(KINDS.len())];
            let Some((bytes, expected)) = kind(&mut world) else { continue };
            let verdict = world.ledger.test(&bytes, world.time).map_err(|reject| reject.to_string());
            let found = verdict.expect_err(&format!("seed {seed}, after {judged}: {name} is taken"));
            let is_expected = match expected.strip_suffix('*') {
                Some(start) => found.starts_with(start),
                None => found == expected,
            };
            assert!(is_expected, "seed {seed}, after {judged}: {name} is {found:?}, not {expected:?}");
            *refused.entry(name).or_default() += 1;
        }
        judged += 1;
        if world.random.below(12) == 0 {
            world.mine();
        }
        if world.random.below(400) == 0 {
            world.reorganise();
            world.check();
        }
    }
    world.check();
    println!("{accepted} accepted, {protected} of them under replay protection; {refused:?}");
    if transactions >= 10_000 {
        assert!(accepted > 4_000, "{accepted}");
        assert!(protected > 100 && protected < accepted - 100, "both sides of the moment: {protected}");
        assert_eq!(refused.iter().filter(|(_, count)| **count == 0).count(), 0, "every rule is broken: {refused:?}");
    }
}
