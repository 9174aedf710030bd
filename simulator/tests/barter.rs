//! The book's protocol, as it is, on simulated nodes: messages are lost and come twice, and the seller crashes.

#[path = "../../io-tokio/tests/barter/protocol.rs"]
#[allow(unreachable_pub, reason = "as in a library of its own")]
mod protocol;

use std::collections::BTreeSet;

use nelumbo_core::api::{Command, Event};
use nelumbo_core::approval::Summary;
use nelumbo_core::wire::{Definition, Label};
use nelumbo_core::{Policy, Review};
use nelumbo_simulator::peer::{Embedder, Observation, Software};
use nelumbo_simulator::run::{Engine, Run, SETTLING_MS};
use nelumbo_simulator::schedule::{LatencyChoice, MILLISECOND, Schedule, ScheduledEvent, SuiteChoice};
use protocol::Barter;

const SELLER: u32 = 0;
/// How often a buyer looks for an offer.
const SEARCHES: u32 = 20;

fn barter() -> Label {
    "barter".parse().expect("a label")
}

fn tell(words: String) -> Command {
    Command::ProtocolCommand { protocol: barter(), payload: words.into_bytes() }
}

/// Offers apples for pears.
struct Seller;

impl Embedder for Seller {
    fn on_start(&mut self) -> Vec<Command> {
        vec![tell("offer apples for pears".to_owned())]
    }

    fn on_event(&mut self, _: &Event) -> Vec<Command> {
        Vec::new()
    }
}

/// Takes the first apples that it finds.
struct Buyer {
    searches: u32,
    has_asked: bool,
}

impl Embedder for Buyer {
    fn on_start(&mut self) -> Vec<Command> {
        Vec::new()
    }

    fn on_event(&mut self, event: &Event) -> Vec<Command> {
        let looks = match event {
            Event::SignerConnected { .. } => self.searches == 0,
            Event::SearchFinished { found: 0, .. } => self.searches < SEARCHES && !self.has_asked,
            _ => false,
        };
        if looks {
            self.searches += 1;
            return vec![Command::FindResources(barter())];
        }
        let said = said(event).unwrap_or_default();
        match said.split(' ').collect::<Vec<_>>()[..] {
            ["offered", seller, "apples", "pears"] if !self.has_asked => {
                self.has_asked = true;
                vec![tell(format!("take apples for pears from {seller}"))]
            }
            _ => Vec::new(),
        }
    }
}

fn said(event: &Event) -> Option<String> {
    match event {
        Event::ProtocolEvent { payload, .. } => Some(String::from_utf8_lossy(payload).into_owned()),
        _ => None,
    }
}

fn software(node: u32) -> Software {
    let embedder: Box<dyn Embedder> =
        if node == SELLER { Box::new(Seller) } else { Box::new(Buyer { searches: 0, has_asked: false }) };
    Software { protocols: vec![Box::new(Barter::default())], policy: None, embedder: Some(embedder) }
}

/// A seller and three buyers on links that lose a tenth of all messages, and repeat as many.
fn market(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed, 4);
    schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 15 };
    schedule.disk_us = 1_000;
    let weather = ScheduledEvent::LinkConditions {
        until_ms: 20_000,
        loss: 100_000,
        duplication: 100_000,
        reordering: 100_000,
        reorder_delay_ms: 50,
    };
    let mut schedule = schedule.with(0, weather);
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

fn crash(schedule: Schedule, at_ms: u64) -> Schedule {
    let schedule = schedule.with(at_ms, ScheduledEvent::Crash { node: SELLER, silent: at_ms.is_multiple_of(2) });
    schedule.with(at_ms + 700, ScheduledEvent::Restart { node: SELLER })
}

/// What a node has said in Barter, and when in milliseconds.
type Told = (u32, String, u64);

/// What nodes have said, and the run's hash.
fn run(schedule: &Schedule, engine: Engine) -> (Vec<Told>, String) {
    let mut told = Vec::new();
    let summary = Run::new(schedule)
        .engine(engine)
        .software(software)
        .measure(|observed| {
            if let Observation::Event(event) = &observed.observation {
                told.extend(said(event).map(|said| (observed.node, said, observed.stamp.at / MILLISECOND)));
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    (told, summary.trace_hash)
}

/// The nodes that were told so of the apples.
fn heard(told: &[Told], answer: &str) -> BTreeSet<u32> {
    told.iter().filter(|(_, said, _)| said.starts_with(&format!("{answer} apples"))).map(|(node, ..)| *node).collect()
}

/// When the seller sells.
fn sales(told: &[Told]) -> Vec<u64> {
    told.iter().filter(|(_, said, _)| said.starts_with("sold apples")).map(|(.., at)| *at).collect()
}

#[test]
fn an_offer_goes_to_one_taker_however_many_messages_are_lost() {
    for seed in 0..20 {
        let (told, _) = run(&market(seed), Engine::Windowed(1));
        let (buyers, late) = (heard(&told, "yours"), heard(&told, "gone"));
        assert!(buyers.len() == 1 && buyers.is_disjoint(&late), "seed {seed}: {told:#?}");
        assert_eq!(sales(&told).len(), 1);
    }
}

#[test]
fn a_seller_that_crashes_at_any_moment_sells_nothing_twice() {
    let (mut forgotten, mut remembered) = (0, 0);
    for seed in 0..4 {
        // Until the crash everything is as it is without it.
        let sold_at = sales(&run(&market(seed), Engine::Windowed(1)).0)[0];
        for at_ms in sold_at - 20..sold_at + 20 {
            let (told, _) = run(&crash(market(seed), at_ms), Engine::Windowed(1));
            assert_eq!(heard(&told, "yours").len(), 1, "seed {seed}, a crash at {at_ms} ms: {told:#?}");
            let knows = told.iter().any(|(_, said, _)| said == "sold already: apples");
            // The record may be on the disk when the crash comes before the word about it.
            assert!(sales(&told).len() <= 1, "seed {seed}, a crash at {at_ms} ms: {told:#?}");
            (forgotten, remembered) = (forgotten + usize::from(!knows), remembered + usize::from(knows));
        }
    }
    assert!(forgotten > 40 && remembered > 40, "it had sold before {remembered} crashes, and not before {forgotten}");
}

#[test]
fn the_same_seed_gives_the_same_run_on_every_engine() {
    let schedule = crash(market(7), 90);
    let first = run(&schedule, Engine::Windowed(1));
    assert!(!heard(&first.0, "yours").is_empty());
    for engine in [Engine::Windowed(2), Engine::Sequential] {
        assert_eq!(run(&schedule, engine), first, "{engine:?}");
    }
    assert_ne!(run(&crash(market(8), 90), Engine::Sequential).1, first.1);
}

/// Declines what others ask for.
struct Declines;

impl Policy for Declines {
    fn review(&mut self, _: &Definition, _: &Summary) -> Review {
        Review::Decline
    }
}

#[test]
fn a_node_s_policy_decides_in_a_simulation_too() {
    let create = ScheduledEvent::create(0, vec![0, 1], SuiteChoice::Lotus);
    let mut schedule = Schedule::new(1, 2).with(1_000, create);
    schedule.until_ms = 30_000;
    let run = |policy: fn() -> Option<Box<dyn Policy>>| {
        let software = move |node| Software { policy: policy().filter(|_| node == 1), ..Software::default() };
        Run::new(&schedule).software(software).summary().sessions
    };
    assert_eq!((run(|| None).completed, run(|| Some(Box::new(Declines))).completed), (1, 0));
}
