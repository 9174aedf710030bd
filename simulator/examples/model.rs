//! Explores a scope of one's own: `cargo run --release -p nelumbo-simulator --example model -- signers=3 crashes=1 …`,
//! or of discovery: `… --example model -- discovery nodes=3 offers=1 …`
//!
//! With `large` alone it explores the scopes of `docs/src/machines.md` that take minutes, as rows of its table.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use nelumbo_simulator::model::{Counts, DiscoveryScope, Scope, explore, explore_discovery};

/// What the tests leave to a campaign.
const LARGE: [(&str, &str); 3] = [
    ("3 signers, 1 crash with restart", "signers=3 crashes=1 returns=1"),
    ("2 signers, 1 clone, 1 crash with restart", "signers=2 clones=1 crashes=1 returns=1"),
    ("3 signers, 1 clone", "signers=3 clones=1"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let explored = match arguments.split_first() {
        Some((first, _)) if first == "large" => return large(),
        Some((first, rest)) if first == "discovery" => explore_discovery(&discovery(rest)),
        _ => explore(&sessions(&arguments)),
    };
    match explored {
        Ok(counts) => println!("{counts:?}"),
        Err(violation) => println!("{violation}"),
    }
}

fn large() {
    for (name, arguments) in LARGE {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        match explore(&sessions(&arguments)) {
            Ok(Counts { states, steps, depth, node_states, complete, incomplete }) => {
                println!("| {name} | {states} | {steps} | {depth} | {node_states} | {complete} | {incomplete} |");
            }
            Err(violation) => println!("{name}: {violation}"),
        }
    }
}

fn numbers(arguments: &[String]) -> impl Iterator<Item = (&str, u8)> {
    arguments.iter().map(|argument| {
        let (name, value) = argument.split_once('=').expect("arguments are name=number");
        (name, value.parse().expect("a small number"))
    })
}

fn sessions(arguments: &[String]) -> Scope {
    let mut scope = Scope { signers: 3, ..Scope::default() };
    for (name, value) in numbers(arguments) {
        match name {
            "signers" => scope.signers = value,
            "timers" => scope.timers = value,
            "crashes" => scope.crashes = value,
            "returns" => scope.returns = value > 0,
            "duplicates" => scope.duplicates = value,
            "confirmations" => scope.confirmations = value,
            "aborts" => scope.aborts = value,
            "jumps" => scope.jumps = value,
            "equivocations" => scope.equivocations = value,
            "clones" => scope.clones = value,
            _ => panic!("no such name: {name}"),
        }
    }
    scope
}

fn discovery(arguments: &[String]) -> DiscoveryScope {
    let mut scope = DiscoveryScope { nodes: 2, ..DiscoveryScope::default() };
    for (name, value) in numbers(arguments) {
        match name {
            "nodes" => scope.nodes = value,
            "offers" => scope.offers = value,
            "withdrawals" => scope.withdrawals = value,
            "moves" => scope.moves = value,
            "searches" => scope.searches = value,
            "sessions" => scope.sessions = value,
            "losses" => scope.losses = value,
            "duplicates" => scope.duplicates = value,
            "disconnections" => scope.disconnections = value,
            "timers" => scope.timers = value,
            _ => panic!("no such name: {name}"),
        }
    }
    scope
}
