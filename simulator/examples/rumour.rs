//! Your own machines, with a check and a metric: a rumour that spreads among people who each tell three others.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example rumour -- [PEOPLE] [SEED]`
#![allow(clippy::print_stdout)]

use nelumbo_simulator::engine::{Context, Machine, Nanos};
use nelumbo_simulator::network::{Latency, LinkConditions, LinkWindow, NetworkModel};
use nelumbo_simulator::simulation::Engine;
use nelumbo_simulator::summary::Percentiles;
use nelumbo_simulator::{Random, Simulation};

const MILLISECOND: Nanos = 1_000_000;

/// Someone who tells three others what they hear for the first time.
struct Person {
    random: Random,
    has_heard: bool,
}

impl Machine for Person {
    /// How many mouths it came through.
    type Observation = u32;

    fn on_start(&mut self, context: &mut Context<'_, u32>) {
        if context.node() == 0 {
            context.set_timer(MILLISECOND, 0);
        }
    }

    fn on_message(&mut self, context: &mut Context<'_, u32>, _: u32, payload: &[u8]) {
        let mouths = payload.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.hear(context, mouths);
    }

    fn on_timer(&mut self, context: &mut Context<'_, u32>, _: u64) {
        self.hear(context, 0);
    }
}

impl Person {
    fn hear(&mut self, context: &mut Context<'_, u32>, mouths: u32) {
        if std::mem::replace(&mut self.has_heard, true) {
            return;
        }
        context.emit(mouths);
        let everybody = u64::from(context.network().nodes());
        for _ in 0..3 {
            let to = self.random.below(everybody) as u32;
            context.send(to, &(mouths + 1).to_le_bytes());
        }
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>().expect("a number"));
    let (people, seed) = (numbers.next().unwrap_or(10_000) as u32, numbers.next().unwrap_or(1));
    let conditions = LinkConditions { loss: 100_000, ..LinkConditions::default() };
    let network = NetworkModel::new(people, Latency::log_normal(5 * MILLISECOND, 30 * MILLISECOND, 0.7))
        .with_link_window(LinkWindow { from: 0, until: Nanos::MAX, conditions });
    let mut heard = Vec::new();
    let outcome = Simulation::builder(network)
        .seed(seed)
        .engine(Engine::Windowed(2))
        .machines(|node| Person { random: Random::stream(seed, "person", u64::from(node)), has_heard: false })
        .check("short", |observed| {
            if observed.observation < 40 { Ok(()) } else { Err(format!("{} mouths", observed.observation)) }
        })
        .measure(|observed| heard.push(observed.stamp.at as f64 / MILLISECOND as f64))
        .run(10_000 * MILLISECOND);
    let (messages, lost) = (outcome.stats.messages, outcome.stats.lost);
    println!("{} of {people} have heard it, of {messages} messages {lost} were lost", heard.len());
    println!("after milliseconds: {:?}", Percentiles::of(heard));
    println!("trace {:016x}, violations {:?}", outcome.stats.trace, outcome.violations);
}
