//! Everything that can happen among a few nodes. The numbers stand in `docs/src/machines.md` too.
//!
//! The larger scopes there take minutes: `.ci/campaign model` explores them, with the example `model`.

use nelumbo_simulator::model::{Counts, Fault, Scope, explore};

const BOOK: &str = include_str!("../../docs/src/machines.md");

/// Explores these scopes, and finds the numbers of each in the book's row for it.
fn check(scopes: &[(&str, Scope)]) {
    let row = |(name, scope): &(&str, Scope)| {
        let Counts { states, steps, depth, node_states, complete, incomplete } =
            explore(scope).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        format!("| {name} | {states} | {steps} | {depth} | {node_states} | {complete} | {incomplete} |")
    };
    let missing: Vec<String> = scopes.iter().map(row).filter(|row| !BOOK.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "the book lacks these rows:\n{}", missing.join("\n"));
}

fn of(signers: u8) -> Scope {
    Scope { signers, ..Scope::default() }
}

#[test]
fn every_order_of_delivery() {
    check(&[
        ("2 signers", of(2)),
        ("3 signers", of(3)),
        ("4 signers", of(4)),
        ("3 signers, 2 duplicates", Scope { duplicates: 2, ..of(3) }),
    ]);
}

#[test]
fn timers_at_any_moment() {
    check(&[
        ("2 signers, 4 timers", Scope { timers: 4, ..of(2) }),
        ("3 signers, 1 timer", Scope { timers: 1, ..of(3) }),
    ]);
}

#[test]
fn crashes_at_any_moment() {
    let back = Scope { returns: true, ..of(2) };
    check(&[
        ("2 signers, 2 crashes with restarts", Scope { crashes: 2, ..back }),
        ("2 signers, 1 crash with restart, 2 timers", Scope { crashes: 1, timers: 2, ..back }),
        ("3 signers, 2 crashes for good", Scope { crashes: 2, ..of(3) }),
        ("3 signers, 1 crash for good, 1 timer", Scope { crashes: 1, timers: 1, ..of(3) }),
        ("4 signers, 1 crash for good", Scope { crashes: 1, ..of(4) }),
    ]);
}

#[test]
fn owners_who_confirm_and_refuse_at_any_moment() {
    let back = Scope { returns: true, ..of(2) };
    check(&[
        ("2 signers, 2 confirmations, 3 timers", Scope { confirmations: 2, timers: 3, ..of(2) }),
        ("3 signers, 1 confirmation, 1 crash for good", Scope { confirmations: 1, crashes: 1, ..of(3) }),
        ("3 signers, 1 refusal", Scope { aborts: 1, ..of(3) }),
        ("2 signers, 1 refusal, 1 crash with restart", Scope { aborts: 1, crashes: 1, ..back }),
    ]);
}

#[test]
fn clocks_that_jump_at_any_moment() {
    let back = Scope { crashes: 1, returns: true, ..of(2) };
    check(&[
        ("2 signers, 4 jumps, 1 timer", Scope { jumps: 4, timers: 1, ..of(2) }),
        ("3 signers, 2 jumps", Scope { jumps: 2, ..of(3) }),
        ("3 signers, 1 refusal, 1 jump", Scope { aborts: 1, jumps: 1, ..of(3) }),
        ("2 signers, 2 jumps, 1 crash with restart", Scope { jumps: 2, ..back }),
    ]);
}

#[test]
fn a_signer_who_says_two_things_and_one_of_whom_there_are_two() {
    check(&[
        ("3 signers, 2 equivocations", Scope { equivocations: 2, ..of(3) }),
        ("3 signers, 1 equivocation, 1 timer", Scope { equivocations: 1, timers: 1, ..of(3) }),
        ("2 signers, 1 clone, 1 timer", Scope { clones: 1, timers: 1, ..of(2) }),
        ("2 signers, 1 clone, 1 refusal", Scope { clones: 1, aborts: 1, ..of(2) }),
        ("2 signers, 1 clone, 1 jump", Scope { clones: 1, jumps: 1, ..of(2) }),
    ]);
}

#[test]
fn what_is_wrong_on_purpose_is_found() {
    let find = |fault, scope| {
        let violation = explore(&Scope { fault: Some(fault), ..scope }).expect_err("it is wrong on purpose");
        (violation.what.clone(), violation.path.len())
    };
    let crash = Scope { crashes: 1, returns: true, ..of(2) };
    let (what, steps) = find(Fault::SameEntropy, crash);
    assert!(what.contains("shows a nonce again") && steps < 10, "{what} after {steps} steps");
    let (what, steps) = find(Fault::LosesJournal, crash);
    let is_found = what.contains("shows two nonces in attempt 1") || what.contains("is not told");
    assert!(is_found && steps < 10, "{what} after {steps} steps");
    let (what, _) = find(Fault::HastyTurns, of(2));
    assert!(what.contains("before everyone's turn") || what.contains("before its turn"), "{what}");
    let (what, steps) = find(Fault::StoppedClock, Scope { jumps: 1, ..of(2) });
    assert!(what.contains("after the end") && steps < 5, "{what} after {steps} steps");
    let (what, steps) = find(Fault::SameCopies, Scope { clones: 1, crashes: 1, returns: true, ..of(2) });
    assert!(what.contains("shows a nonce again") && steps < 10, "{what} after {steps} steps");
    let (what, _) = find(Fault::Deaf, Scope { aborts: 1, ..of(3) });
    assert!(what.contains("is not told"), "{what}");
    let (what, _) = find(Fault::NoTime, Scope { crashes: 1, ..of(3) });
    assert!(what.contains("waits in phase"), "{what}");
}
