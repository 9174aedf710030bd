//! A checker of one's own: it finds nothing wrong and prints everything that nodes tell.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example trace -- SCHEDULE.toml`
#![allow(clippy::print_stdout)]

use nelumbo_simulator::checkers::{Checker, Facts, Sight};
use nelumbo_simulator::peer::Note;
use nelumbo_simulator::run::{Engine, run_while};
use nelumbo_simulator::schedule::Schedule;

struct Printer;

impl Checker for Printer {
    fn name(&self) -> &'static str {
        "printer"
    }

    fn see(&mut self, _: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let (at, node) = (sight.noted.stamp.at as f64 / 1e9, sight.noted.node);
        match (&sight.noted.note, sight.step) {
            (Note::Sent(_), Some(step)) => {
                println!("{at:>12.6} {node} sends attempt {} {:?}", step.attempt, step.content)
            }
            (Note::Sent(bytes), None) => println!("{at:>12.6} {node} sends {} bytes", bytes.len()),
            (Note::Event(event), _) => println!("{at:>12.6} {node} {event:?}"),
            (note, _) => println!("{at:>12.6} {node} {note:?}"),
        }
        Ok(())
    }
}

fn main() {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).expect("a file");
        let schedule = Schedule::from_toml(&text).expect("a schedule");
        println!("{}", run_while(&schedule, Engine::Windowed(1), vec![Box::new(Printer)], |_| true));
    }
}
