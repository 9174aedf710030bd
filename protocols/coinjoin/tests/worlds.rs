//! Rounds in worlds drawn from seeds: nodes crash at any moment and come back or do not, refuse to sign, or take part
//! with coins that are not there; the network loses messages, and the chain is reorganised. Whoever is honest is paid
//! exactly what it wanted, or has its coin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::pay_to_key;
use nelumbo_chain::ledger::{Ledger, Orphans, Reject, Rules};
use nelumbo_coinjoin::{CoinJoin, Command, Entry, Event, Terms};
use nelumbo_core::Policy;
use nelumbo_core::api::{Command as NodeCommand, Event as NodeEvent};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::p2pkh_script;
use nelumbo_core::crypto::{Network, PublicKey};
use nelumbo_core::single::Single;
use nelumbo_simulator::Random;
use nelumbo_simulator::peer::{Embedder, Observation, Software};
use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::schedule::{LatencyChoice, Schedule, ScheduledEvent};

/// 2026-05-28: after Taproot, before replay protection.
const BEGIN: i64 = 1_780_000_000;
const DENOMINATION: u64 = 100_000;
const FEE: u64 = 250;
const END: u64 = 180_000;

/// How somebody takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Honest,
    /// Signs nothing.
    Refuses,
    /// With a coin that is not there.
    Lies,
    /// With a coin that is worth less than it says.
    Exaggerates,
}

struct World {
    ledger: Ledger,
    random: Random,
    behaviours: Vec<Behaviour>,
    reorganisations: u32,
    /// What people have put in, who enter again with the same after a crash.
    entries: BTreeMap<u32, Entry>,
    /// How often something was looked at: blocks come as that goes on.
    looks: u32,
    /// After how many broadcasts the chain forgets the transaction, once.
    forgets_after: Option<u32>,
    /// What the ledger has refused for another reason than that something was faster.
    broken: Vec<Reject>,
}

fn number(node: u32) -> u8 {
    u8::try_from(node).expect("a few")
}

fn output(node: u32) -> Vec<u8> {
    p2pkh_script(&[number(node) + 1; 20]).to_vec()
}

fn change(node: u32) -> Vec<u8> {
    p2pkh_script(&[number(node) + 101; 20]).to_vec()
}

fn value(node: u32) -> u64 {
    150_000 + u64::from(node) * 7_000
}

impl World {
    fn new(behaviours: Vec<Behaviour>, reorganisations: u32, random: Random) -> Self {
        let mut ledger = Ledger::new(Rules::default());
        ledger.mine(110, &Ledger::faucet_script(), BEGIN).expect("blocks");
        let (entries, broken) = (BTreeMap::new(), Vec::new());
        Self { ledger, random, behaviours, reorganisations, entries, looks: 0, forgets_after: None, broken }
    }

    fn entry(&mut self, node: u32, key: PublicKey) -> Entry {
        if let Some(entry) = self.entries.get(&node) {
            return entry.clone();
        }
        let worth = value(node) - if self.behaviours[node as usize] == Behaviour::Exaggerates { 1_000 } else { 0 };
        let mut txid = *self.ledger.fund(&pay_to_key(&key), worth, BEGIN).expect("the faucet has coins").as_bytes();
        if self.behaviours[node as usize] == Behaviour::Lies {
            txid[0] ^= 1;
        }
        let (output, change) = (output(node), change(node));
        let entry = Entry { key, txid, index: 0, value: value(node), output, change };
        self.entries.insert(node, entry.clone());
        entry
    }

    /// Blocks come, and may be taken back.
    fn look(&mut self) {
        self.looks += 1;
        if self.looks.is_multiple_of(20) {
            let script = Ledger::faucet_script();
            self.ledger.mine(1, &script, BEGIN).expect("a block");
            if self.random.chance(self.reorganisations) {
                let orphans = [Orphans::Remined, Orphans::Pending, Orphans::Dropped][self.random.below(3) as usize];
                self.ledger.reorganise(1, orphans, &script, BEGIN).expect("the chain is longer");
            }
        }
    }

    fn submit(&mut self, transaction: &[u8]) {
        match self.ledger.submit(transaction, BEGIN) {
            Ok(_) | Err(Reject::AlreadyInMempool | Reject::AlreadyInChain | Reject::MempoolConflict) => {}
            Err(reject) => self.broken.push(reject),
        }
        if let Some(left) = &mut self.forgets_after {
            *left -= 1;
            if *left == 0 {
                self.forgets_after = None;
                self.ledger.mine(1, &Ledger::faucet_script(), BEGIN).expect("a block");
                self.ledger.reorganise(1, Orphans::Dropped, &Ledger::faucet_script(), BEGIN).expect("it is longer");
            }
        }
    }

    fn paid(&self, script: &[u8]) -> Vec<u64> {
        let payloads = ScriptPayload::of(script);
        payloads.iter().flat_map(|payload| self.ledger.unspent(payload)).map(|each| each.output.value).collect()
    }
}

/// The person at a node.
struct Person {
    node: u32,
    nodes: u32,
    world: Arc<Mutex<World>>,
    key: Option<PublicKey>,
    has_entered: bool,
}

impl Person {
    fn answer(&mut self, event: Event) -> Option<Command> {
        let mut world = self.world.lock().expect("nobody panics");
        world.look();
        match event {
            Event::Key(key) => {
                self.key = Some(key);
                let creates = self.node == 0 && !self.has_entered;
                self.has_entered |= creates;
                let until = Wall::from_millis(u64::MAX);
                let participants = number(self.nodes);
                let (denomination, fee, replay_protection) = (DENOMINATION, FEE, false);
                let terms = Terms { creator: key, denomination, participants, fee, replay_protection, until };
                creates.then(|| Command::Create(terms, world.entry(0, key)))
            }
            Event::Found(round, _) if !self.has_entered && self.node != 0 => {
                self.has_entered = true;
                Some(Command::Join(round, world.entry(self.node, self.key?)))
            }
            Event::SearchFinished if !self.has_entered => Some(Command::Discover),
            Event::Broadcast(_, transaction) => {
                world.submit(&transaction);
                None
            }
            _ => None,
        }
    }
}

fn command(command: &Command) -> NodeCommand {
    NodeCommand::ProtocolCommand { protocol: "coinjoin".parse().expect("a label"), payload: command.to_bytes() }
}

impl Embedder for Person {
    fn on_start(&mut self) -> Vec<NodeCommand> {
        self.has_entered = false;
        vec![command(&Command::Discover)]
    }

    fn on_event(&mut self, event: &NodeEvent) -> Vec<NodeCommand> {
        match event {
            // A search before anybody is there finds nothing.
            NodeEvent::SignerConnected { .. } if !self.has_entered => vec![command(&Command::Discover)],
            NodeEvent::ProtocolEvent { payload, .. } => {
                let event = Event::from_bytes(payload).expect("it is one");
                self.answer(event).map(|wish| command(&wish)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

struct Refuses;

impl Policy for Refuses {
    fn lets_sign(&mut self, _: &nelumbo_core::wire::Label, _: &Single, _: &nelumbo_core::approval::Summary) -> bool {
        false
    }
}

/// What became of honest people.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    paid: usize,
    untouched: usize,
}

/// Runs rounds, and judges what came of them.
fn run(schedule: &Schedule, behaviours: &[Behaviour], reorganisations: u32) -> Tally {
    let random = Random::stream(schedule.seed, "chain", 0);
    run_on(schedule, World::new(behaviours.to_vec(), reorganisations, random)).0
}

/// The same on this chain. Also when the transaction was broadcast first, in milliseconds.
fn run_on(schedule: &Schedule, world: World) -> (Tally, Option<u64>) {
    let (behaviours, reorganisations) = (world.behaviours.clone(), world.reorganisations);
    let world = Arc::new(Mutex::new(world));
    let (of_nodes, of_people, nodes) = (Arc::clone(&world), behaviours, schedule.nodes);
    let mut first = None;
    let summary = Run::new(schedule)
        .engine(Engine::Sequential)
        .software(move |node| {
            let person = Person { node, nodes, world: Arc::clone(&of_nodes), key: None, has_entered: false };
            let refuses = of_people[node as usize] == Behaviour::Refuses;
            let policy = refuses.then(|| Box::new(Refuses) as Box<dyn Policy>);
            let protocols = vec![Box::new(CoinJoin::new(Network::Regtest)) as _];
            Software { protocols, policy, embedder: Some(Box::new(person)) }
        })
        .measure(|observed| {
            if let Observation::Event(NodeEvent::ProtocolEvent { payload, .. }) = &observed.observation
                && let Some(Event::Broadcast(..)) = Event::from_bytes(payload)
            {
                first.get_or_insert(observed.stamp.at / 1_000_000);
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    let world = world.lock().expect("nobody panics");
    let mut tally = Tally::default();
    for (node, entry) in &world.entries {
        let (output, change) = (world.paid(&entry.output), world.paid(&entry.change));
        let spent = world.ledger.spender(&entry.outpoint());
        if world.behaviours[*node as usize] != Behaviour::Honest {
            continue;
        }
        // To the satoshi, and never more than once.
        match (spent, &output[..], &change[..]) {
            (Some(_), [DENOMINATION], [rest]) if *rest == value(*node) - DENOMINATION - FEE => tally.paid += 1,
            (None, [], []) => tally.untouched += 1,
            other => panic!("seed {}: node {node} has {other:?}", schedule.seed),
        }
    }
    // One transaction, or none: all who are paid are so by the same.
    let spenders: BTreeSet<_> =
        world.entries.values().filter_map(|entry| world.ledger.spender(&entry.outpoint())).collect();
    assert!(spenders.iter().map(|(txid, _)| txid).collect::<BTreeSet<_>>().len() <= 1, "{spenders:?}");
    let cheats = world.behaviours.iter().any(|each| matches!(each, Behaviour::Lies | Behaviour::Exaggerates));
    // After a reorganisation that forgets coins too there may be nothing to spend.
    assert!(cheats || reorganisations > 0 || world.broken.is_empty(), "{:?}", world.broken);
    (tally, first)
}

fn calm(seed: u64, nodes: u32) -> Schedule {
    let mut schedule = Schedule::new(seed, nodes);
    schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 60 };
    schedule.until_ms = END;
    schedule
}

/// Anything that can happen.
fn drawn(seed: u64) -> Tally {
    let mut random = Random::stream(seed, "rounds", 0);
    let nodes = u32::try_from(random.within(3, 6)).expect("small");
    let mut schedule = calm(seed, nodes);
    if random.chance(500_000) {
        let loss = u32::try_from(random.below(250_000)).expect("small");
        let weather = ScheduledEvent::LinkConditions {
            until_ms: END,
            loss,
            duplication: 50_000,
            reordering: 50_000,
            reorder_delay_ms: 50,
        };
        schedule = schedule.with(0, weather);
    }
    for node in 0..nodes {
        if random.chance(300_000) {
            let at = random.within(500, 40_000);
            schedule = schedule.with(at, ScheduledEvent::Crash { node, silent: random.chance(500_000) });
            if random.chance(700_000) {
                schedule = schedule.with(at + random.within(100, 30_000), ScheduledEvent::Restart { node });
            }
        }
    }
    let behaviour = |random: &mut Random| match random.below(10) {
        0 => Behaviour::Refuses,
        1 => Behaviour::Lies,
        2 => Behaviour::Exaggerates,
        _ => Behaviour::Honest,
    };
    let behaviours: Vec<Behaviour> = (0..nodes).map(|_| behaviour(&mut random)).collect();
    let reorganisations = if random.chance(500_000) { 300_000 } else { 0 };
    run(&schedule, &behaviours, reorganisations)
}

/// Which worlds: forty, or those of `NELUMBO_ROUNDS=FROM..TO`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("NELUMBO_ROUNDS") else { return 0..40 };
    let (from, to) = range.split_once("..").expect("FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
#[allow(clippy::print_stdout, reason = "a campaign reads the counts")]
fn whoever_is_honest_is_paid_once_or_has_its_coin_in_forty_worlds() {
    let mut sum = Tally::default();
    let seeds = seeds();
    for seed in seeds.clone() {
        let Tally { paid, untouched } = drawn(seed);
        sum.paid += paid;
        sum.untouched += untouched;
    }
    println!("{} rounds: {} paid, {} untouched", seeds.end - seeds.start, sum.paid, sum.untouched);
    // Worlds in which nothing goes wrong, or everything does, would show nothing.
    assert!(sum.paid > 10 && sum.untouched > 10, "{sum:?}");
}

/// Rounds write nothing, and so a crash is at some message. Whoever it is, and at whatever moment of the round: it
/// enters again with the same coin, and everybody is paid.
#[test]
fn a_crash_at_any_moment_keeps_nobody_from_the_end() {
    let honest = || World::new(vec![Behaviour::Honest; 3], 0, Random::stream(7, "chain", 0));
    let end = run_on(&calm(7, 3), honest()).1.expect("everybody has signed");
    for node in [0, 2] {
        for at in (end.saturating_sub(600)..end + 100).step_by(25) {
            let schedule = calm(7, 3)
                .with(at, ScheduledEvent::Crash { node, silent: false })
                .with(at + 1_000, ScheduledEvent::Restart { node });
            let tally = run_on(&schedule, honest()).0;
            assert_eq!(tally, Tally { paid: 3, untouched: 0 }, "node {node} at {at} ms of {end}");
        }
    }
}

/// A transaction that a reorganisation has forgotten is broadcast again, by everybody who has it.
#[test]
fn a_reorganisation_costs_nobody_its_output() {
    for seed in 0..3 {
        let mut world = World::new(vec![Behaviour::Honest; 4], 0, Random::stream(seed, "chain", 0));
        world.forgets_after = Some(4);
        let tally = run_on(&calm(seed, 4), world).0;
        assert_eq!(tally, Tally { paid: 4, untouched: 0 }, "seed {seed}");
    }
}
