//! Everything that can happen while a few nodes announce themselves and look for each other. The numbers stand in
//! `docs/src/machines.md` too.

use nelumbo_simulator::model::{Counts, DiscoveryFault, DiscoveryScope, explore_discovery};

const BOOK: &str = include_str!("../../docs/src/machines.md");

/// Explores these scopes, and finds the numbers of each in the book's row for it.
fn check(scopes: &[(&str, DiscoveryScope)]) {
    let row = |(name, scope): &(&str, DiscoveryScope)| {
        let Counts { states, steps, depth, node_states, complete, incomplete } =
            explore_discovery(scope).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        format!("| {name} | {states} | {steps} | {depth} | {node_states} | {complete} | {incomplete} |")
    };
    let missing: Vec<String> = scopes.iter().map(row).filter(|row| !BOOK.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "the book lacks these rows:\n{}", missing.join("\n"));
}

fn of(nodes: u8) -> DiscoveryScope {
    DiscoveryScope { nodes, ..DiscoveryScope::default() }
}

#[test]
fn an_offer_is_found_by_any_way_in_any_order() {
    check(&[
        ("2 nodes, 1 offer, 1 search", DiscoveryScope { offers: 1, searches: 1, ..of(2) }),
        ("3 nodes, 1 offer, 1 search", DiscoveryScope { offers: 1, searches: 1, ..of(3) }),
    ]);
}

#[test]
fn offers_change_and_are_withdrawn_at_any_moment() {
    check(&[
        ("2 nodes, 2 offers, 1 search", DiscoveryScope { offers: 2, searches: 1, ..of(2) }),
        (
            "2 nodes, 1 offer, 1 withdrawal, 1 search",
            DiscoveryScope { offers: 1, withdrawals: 1, searches: 1, ..of(2) },
        ),
        ("2 nodes, 3 offers, 2 timers", DiscoveryScope { offers: 3, timers: 2, ..of(2) }),
    ]);
}

#[test]
fn messages_are_lost_and_come_twice() {
    check(&[
        ("2 nodes, 1 offer, 1 search, 2 losses", DiscoveryScope { offers: 1, searches: 1, losses: 2, ..of(2) }),
        ("2 nodes, 2 offers, 2 duplicates", DiscoveryScope { offers: 2, duplicates: 2, ..of(2) }),
        ("3 nodes, 1 offer, 1 search, 1 loss", DiscoveryScope { offers: 1, searches: 1, losses: 1, ..of(3) }),
    ]);
}

#[test]
fn a_session_seeks_its_signer() {
    check(&[
        ("2 nodes, 1 session, 3 losses", DiscoveryScope { sessions: 1, losses: 3, ..of(2) }),
        ("2 nodes, 1 session, 1 disconnection", DiscoveryScope { sessions: 1, disconnections: 1, ..of(2) }),
        ("2 nodes, 1 session, 1 move, 1 timer", DiscoveryScope { sessions: 1, moves: 1, timers: 1, ..of(2) }),
    ]);
}

#[test]
fn what_is_wrong_on_purpose_is_found() {
    for (fault, scope, what) in [
        (DiscoveryFault::Forgets, DiscoveryScope { offers: 1, ..of(2) }, "takes an older announcement"),
        (DiscoveryFault::NoQuota, DiscoveryScope { offers: 4, ..of(2) }, "signs more announcements than a key may"),
        (DiscoveryFault::NoTime, DiscoveryScope { searches: 1, ..of(2) }, "searches of node 1 do not end"),
    ] {
        let violation =
            explore_discovery(&DiscoveryScope { fault: Some(fault), ..scope }).expect_err("it is wrong on purpose");
        assert!(violation.what.contains(what), "{violation}");
    }
}
