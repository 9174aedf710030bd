//! Explores a scope of one's own: `cargo run --release -p nelumbo-simulator --example model -- signers=3 crashes=1 …`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use nelumbo_simulator::model::{Scope, explore};

fn main() {
    let mut scope = Scope { signers: 3, ..Scope::default() };
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').expect("arguments are name=number");
        let value: u8 = value.parse().expect("a small number");
        match name {
            "signers" => scope.signers = value,
            "timers" => scope.timers = value,
            "crashes" => scope.crashes = value,
            "returns" => scope.returns = value > 0,
            "duplicates" => scope.duplicates = value,
            "confirmations" => scope.confirmations = value,
            "aborts" => scope.aborts = value,
            _ => panic!("no such name: {name}"),
        }
    }
    match explore(&scope) {
        Ok(counts) => println!("{counts:?}"),
        Err(violation) => println!("{violation}"),
    }
}
