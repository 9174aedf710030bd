//! Rounds on simulated nodes, on a ledger that judges what comes of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::pay_to_key;
use nelumbo_chain::ledger::{Ledger, Reject, Rules};
use nelumbo_coinjoin::{Attempt, CoinJoin, Command, Entry, Event, Terms};
use nelumbo_core::Policy;
use nelumbo_core::api::{Command as NodeCommand, Event as NodeEvent};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::p2pkh_script;
use nelumbo_core::crypto::{Network, PublicKey, SecretKey};
use nelumbo_core::single::Single;
use nelumbo_simulator::peer::{Embedder, Observation, Software};
use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::schedule::{LatencyChoice, Schedule, ScheduledEvent};

const NODES: u32 = 4;
/// 2026-05-28: after Taproot, before replay protection.
const BEGIN: i64 = 1_780_000_000;
const DENOMINATION: u64 = 100_000;
const FEE: u64 = 250;

/// What a node's coin is worth: each another amount.
fn value(node: u32) -> u64 {
    150_000 + u64::from(node) * 7_000
}

fn output(node: u32) -> Vec<u8> {
    p2pkh_script(&[u8::try_from(node).expect("a few") + 1; 20]).to_vec()
}

fn change(node: u32) -> Vec<u8> {
    p2pkh_script(&[u8::try_from(node).expect("a few") + 101; 20]).to_vec()
}

fn terms(creator: PublicKey) -> Terms {
    let until = Wall::from_millis(u64::MAX);
    let participants = u8::try_from(NODES).expect("a few");
    Terms { creator, denomination: DENOMINATION, participants, fee: FEE, replay_protection: false, until }
}

/// The person at a node.
struct Person {
    node: u32,
    ledger: Arc<Mutex<Ledger>>,
    key: Option<PublicKey>,
    has_entered: bool,
}

impl Person {
    fn entry(&self) -> Entry {
        let key = self.key.expect("it was told");
        let mut ledger = self.ledger.lock().expect("nobody panics");
        let txid = ledger.fund(&pay_to_key(&key), value(self.node), BEGIN).expect("the faucet has coins");
        let (output, change) = (output(self.node), change(self.node));
        Entry { key, txid: *txid.as_bytes(), index: 0, value: value(self.node), output, change }
    }

    fn answer(&mut self, event: Event) -> Option<Command> {
        match event {
            Event::Key(key) => {
                self.key = Some(key);
                let creates = self.node == 0 && !self.has_entered;
                self.has_entered |= creates;
                creates.then(|| Command::Create(terms(key), self.entry()))
            }
            Event::Found(round, _) if !self.has_entered => {
                self.has_entered = true;
                Some(Command::Join(round, self.entry()))
            }
            Event::SearchFinished if !self.has_entered => Some(Command::Discover),
            Event::Broadcast(_, transaction) => {
                let sent = self.ledger.lock().expect("nobody panics").submit(&transaction, BEGIN);
                assert!(matches!(sent, Ok(_) | Err(Reject::AlreadyInMempool)), "{sent:?}");
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
        vec![command(&Command::Discover)]
    }

    fn on_event(&mut self, event: &NodeEvent) -> Vec<NodeCommand> {
        let NodeEvent::ProtocolEvent { payload, .. } = event else { return Vec::new() };
        let event = Event::from_bytes(payload).expect("it is one");
        self.answer(event).map(|wish| command(&wish)).into_iter().collect()
    }
}

/// Signs nothing.
struct Refuses;

impl Policy for Refuses {
    fn lets_sign(&mut self, _: &nelumbo_core::wire::Label, _: &Single, _: &nelumbo_core::approval::Summary) -> bool {
        false
    }
}

/// What the ledger has paid to each node, output and change, and how many were blamed.
fn run(seed: u64, refuses: Option<u32>) -> (Vec<[u64; 2]>, BTreeSet<PublicKey>) {
    let mut schedule = Schedule::new(seed, NODES);
    schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 60 };
    let weather = ScheduledEvent::LinkConditions {
        until_ms: 60_000,
        loss: 100_000,
        duplication: 50_000,
        reordering: 50_000,
        reorder_delay_ms: 50,
    };
    let mut schedule = schedule.with(0, weather);
    schedule.until_ms = 120_000;
    let mut ledger = Ledger::new(Rules::default());
    ledger.mine(110, &Ledger::faucet_script(), BEGIN).expect("blocks");
    let ledger = Arc::new(Mutex::new(ledger));
    let of_nodes = Arc::clone(&ledger);
    let mut blamed = BTreeSet::new();
    let summary = Run::new(&schedule)
        .engine(Engine::Sequential)
        .software(move |node| {
            let person = Person { node, ledger: Arc::clone(&of_nodes), key: None, has_entered: false };
            let policy = (refuses == Some(node)).then(|| Box::new(Refuses) as Box<dyn Policy>);
            let protocols = vec![Box::new(CoinJoin::new(Network::Regtest)) as _];
            Software { protocols, policy, embedder: Some(Box::new(person)) }
        })
        .measure(|observed| {
            if let Observation::Event(NodeEvent::ProtocolEvent { payload, .. }) = &observed.observation
                && let Some(Event::Blamed(_, who)) = Event::from_bytes(payload)
            {
                blamed.extend(who);
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    let ledger = ledger.lock().expect("nobody panics");
    let paid = |script: Vec<u8>| {
        let payloads = ScriptPayload::of(&script);
        payloads.iter().flat_map(|payload| ledger.unspent(payload)).map(|each| each.output.value).sum::<u64>()
    };
    ((0..NODES).map(|node| [paid(output(node)), paid(change(node))]).collect(), blamed)
}

/// What a node is paid when all goes well: the same as everybody, and its change, to the satoshi.
fn due(node: u32) -> [u64; 2] {
    [DENOMINATION, value(node) - DENOMINATION - FEE]
}

#[test]
fn everybody_is_paid_the_same_and_its_change() {
    for seed in 0..5 {
        let (paid, blamed) = run(seed, None);
        assert_eq!(paid, (0..NODES).map(due).collect::<Vec<_>>(), "seed {seed}");
        assert!(blamed.is_empty());
    }
}

#[test]
fn who_does_not_sign_is_blamed_and_the_others_go_on() {
    for seed in 0..5 {
        let (paid, blamed) = run(seed, Some(2));
        let expected: Vec<_> = (0..NODES).map(|node| if node == 2 { [0, 0] } else { due(node) }).collect();
        assert_eq!((paid, blamed.len()), (expected, 1), "seed {seed}");
    }
}

#[test]
fn a_transaction_that_pays_somebody_otherwise_is_none() {
    let key = |number: u8| SecretKey::from_bytes(&[number; 32]).expect("a key").public_key();
    let entry = |node: u32| {
        let number = u8::try_from(node).expect("a few");
        let (output, change) = (output(node), change(node));
        Entry { key: key(number + 1), txid: [number; 32], index: 0, value: value(node), output, change }
    };
    let round = terms(key(1));
    let all: Vec<Entry> = (0..NODES).map(entry).collect();
    assert!(Attempt::new(&round, all.clone()).is_some());
    let broken = |change: fn(&mut Vec<Entry>)| {
        let mut entries = all.clone();
        change(&mut entries);
        assert!(Attempt::new(&round, entries).is_none());
    };
    broken(|entries| entries.truncate(2));
    broken(|entries| entries.push(entries[0].clone()));
    broken(|entries| entries[1].key = entries[0].key);
    broken(|entries| (entries[1].txid, entries[1].index) = (entries[0].txid, entries[0].index));
    broken(|entries| entries[1].output = entries[0].output.clone());
    broken(|entries| entries[1].value = DENOMINATION + FEE - 1);
    broken(|entries| entries[1].value = u64::MAX);
    broken(|entries| entries[1].output = vec![0x6a, 1, 1]);
    broken(|entries| entries[1].change = vec![0; 37]);
    broken(|entries| entries[1].change = entries[1].output.clone());
}
