//! Explores a scope of one's own: `cargo run --release -p nelumbo-simulator --example model -- signers=3 crashes=1 …`,
//! or of discovery: `… --example model -- discovery nodes=3 offers=1 …`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use nelumbo_simulator::model::{DiscoveryScope, Scope, explore, explore_discovery};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let explored = match arguments.split_first() {
        Some((first, rest)) if first == "discovery" => explore_discovery(&discovery(rest)),
        _ => explore(&sessions(&arguments)),
    };
    match explored {
        Ok(counts) => println!("{counts:?}"),
        Err(violation) => println!("{violation}"),
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
