//! People at simulated nodes who enter one pool, and the chain that they see.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part it needs")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::{Coin, Payment, Unlock, build, pay_to_key};
use nelumbo_chain::ledger::{Ledger, Rules};
use nelumbo_core::api::{Command as NodeCommand, Event as NodeEvent};
use nelumbo_core::crypto::lotus::{OutPoint, TxOutput, p2pkh_script};
use nelumbo_core::crypto::{Network, PublicKey, SecretKey, Suite, schnorr};
use nelumbo_simulator::peer::{Embedder, Observation, Software};
use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::schedule::{LatencyChoice, Schedule, ScheduledEvent};
use nelumbo_swapsig::chain::look;
use nelumbo_swapsig::content::{Destination, Place, burn_script, coin_script};
use nelumbo_swapsig::{Command, Event, NewPool, Phase, PoolFilter, SwapSig, Terms};

/// 2026-05-28: after Taproot, before replay protection.
const BEGIN: i64 = 1_780_000_000;

/// The chain that all nodes see. Blocks come as nodes look.
struct Chain {
    ledger: Ledger,
    looks: u32,
}

impl Chain {
    fn new() -> Self {
        let mut ledger = Ledger::new(Rules::default());
        ledger.mine(110, &Ledger::faucet_script(), BEGIN).expect("blocks");
        Self { ledger, looks: 0 }
    }

    /// A coin of this key, and its burn.
    fn coin(&mut self, terms: &Terms, key: &PublicKey) -> Place {
        let wallet = SecretKey::from_bytes(&[8; 32]).expect("a key");
        let own = pay_to_key(&wallet.public_key()).to_vec();
        let value = terms.coin() + terms.burn() + 1_000;
        let txid = self.ledger.fund(&own, value, BEGIN).expect("the faucet has coins");
        let funds = Coin {
            outpoint: OutPoint { txid, index: 0 },
            output: TxOutput { value, script_pubkey: own },
            unlock: Unlock::PublicKeyHash(wallet.public_key()),
        };
        let outputs = vec![
            TxOutput { value: terms.coin(), script_pubkey: coin_script(key) },
            TxOutput { value: terms.burn(), script_pubkey: burn_script(key) },
        ];
        let unsigned = build(&[funds], &Payment::new(outputs, Ledger::faucet_script())).expect("it is enough");
        let digest = unsigned.digests(self.ledger.replay_protected())[0];
        let signature = schnorr::sign(Suite::Lotus, &wallet, &digest, None).expect("32 bytes");
        let signed = unsigned.finalize(&[signature]).expect("one input");
        let txid = self.ledger.submit(&signed.to_bytes(), BEGIN).expect("it is sound");
        self.ledger.mine(1, &Ledger::faucet_script(), BEGIN).expect("a block");
        Place { txid: *txid.as_bytes(), index: 0 }
    }
}

fn destination(node: u32) -> Destination {
    let mut hash = [0xd0; 20];
    hash[0] = u8::try_from(node).expect("a few nodes");
    Destination { salt: [hash[0] + 1; 32], script: p2pkh_script(&hash).to_vec() }
}

/// The person at a node: enters a pool, and asks the chain for its node.
struct Person {
    node: u32,
    nodes: u32,
    chain: Arc<Mutex<Chain>>,
    key: Option<PublicKey>,
    has_entered: bool,
}

impl Person {
    fn command(command: &Command) -> NodeCommand {
        NodeCommand::ProtocolCommand { protocol: "swapsig".parse().expect("a label"), payload: command.to_bytes() }
    }

    fn terms(&self, key: PublicKey) -> Terms {
        Terms::new(Network::Regtest, key, 100_000, u8::try_from(self.nodes).expect("a few"), [5; 32])
    }

    fn answer(&mut self, event: Event) -> Option<Command> {
        match event {
            Event::Pools { key, pools } => {
                self.key = Some(key);
                self.has_entered = !pools.is_empty();
                if self.node != 0 || self.has_entered {
                    return (!self.has_entered).then_some(Command::DiscoverPools(PoolFilter::default()));
                }
                self.has_entered = true;
                let terms = self.terms(key);
                let coin = self.chain.lock().expect("nobody panics").coin(&terms, &key);
                Some(Command::CreatePool(Box::new(NewPool { terms, coin, destination: destination(0) })))
            }
            Event::Found(terms) if !self.has_entered && self.node != 0 => {
                self.has_entered = true;
                let coin = self.chain.lock().expect("nobody panics").coin(&terms, &self.key?);
                Some(Command::JoinPool { pool: terms.id(), coin, destination: destination(self.node) })
            }
            Event::SearchFinished if !self.has_entered => Some(Command::DiscoverPools(PoolFilter::default())),
            Event::Look { pool, query } => {
                let mut chain = self.chain.lock().expect("nobody panics");
                chain.looks += 1;
                if chain.looks.is_multiple_of(10) {
                    chain.ledger.mine(1, &Ledger::faucet_script(), BEGIN).expect("a block");
                }
                Some(Command::Seen { pool, view: look(&chain.ledger, &query) })
            }
            Event::Broadcast { transaction, .. } => {
                // It may be there already, or something else has been faster.
                let _ = self.chain.lock().expect("nobody panics").ledger.submit(&transaction, BEGIN);
                None
            }
            _ => None,
        }
    }
}

impl Embedder for Person {
    fn on_start(&mut self) -> Vec<NodeCommand> {
        vec![Self::command(&Command::Status)]
    }

    fn on_event(&mut self, event: &NodeEvent) -> Vec<NodeCommand> {
        match event {
            // What a node knew of others is gone after a crash, and a search before anybody is there finds nothing.
            NodeEvent::SignerConnected { .. } if !self.has_entered && self.node != 0 => {
                vec![Self::command(&Command::DiscoverPools(PoolFilter::default()))]
            }
            NodeEvent::ProtocolEvent { payload, .. } => {
                let event = Event::from_bytes(payload).expect("it is one");
                self.answer(event).map(|command| Self::command(&command)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What came of a run.
#[derive(Default)]
pub struct Outcome {
    /// Which nodes were told that their pool is complete.
    pub complete: BTreeSet<u32>,
    /// What the chain has paid where.
    pub paid: Vec<Vec<u64>>,
    /// When the first node knew that everybody has signed everything, in milliseconds.
    pub signed_ms: Option<u64>,
    /// All that the nodes have sent until the last one's pool was complete, and its bytes.
    pub sent: (u64, u64),
}

/// Runs until the pools of all nodes are complete, or the schedule ends.
pub fn run(schedule: &Schedule) -> Outcome {
    let chain = Arc::new(Mutex::new(Chain::new()));
    let nodes = schedule.nodes;
    let outcome = std::cell::RefCell::new(Outcome::default());
    let of_nodes = Arc::clone(&chain);
    let summary = Run::new(schedule)
        .engine(Engine::Sequential)
        .software(move |node| {
            let person = Person { node, nodes, chain: Arc::clone(&of_nodes), key: None, has_entered: false };
            let protocols = vec![Box::new(SwapSig::new(Network::Regtest)) as _];
            Software { protocols, policy: None, embedder: Some(Box::new(person)) }
        })
        .measure(|observed| {
            if let Observation::Event(NodeEvent::ProtocolEvent { payload, .. }) = &observed.observation
                && let Some(Event::Changed(status)) = Event::from_bytes(payload)
            {
                let mut outcome = outcome.borrow_mut();
                if status.phase == Phase::SetupConfirm {
                    outcome.signed_ms.get_or_insert(observed.stamp.at / 1_000_000);
                }
                if status.phase == Phase::Complete {
                    outcome.complete.insert(observed.node);
                }
            }
        })
        .run_while(|_| outcome.borrow().complete.len() < nodes as usize)
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    let chain = chain.lock().expect("nobody panics");
    let unspent = |script: Vec<u8>| {
        let payloads = ScriptPayload::of(&script);
        payloads.iter().flat_map(|payload| chain.ledger.unspent(payload)).map(|each| each.output.value).collect()
    };
    let mut outcome = outcome.into_inner();
    outcome.paid = (0..nodes).map(|node| unspent(destination(node).script)).collect();
    outcome.sent = (summary.messages, summary.bytes);
    outcome
}

/// Nodes on a network of a continent, which loses a tenth of all messages for a minute if it is `lossy`.
pub fn schedule(seed: u64, nodes: u32, lossy: bool) -> Schedule {
    let mut schedule = Schedule::new(seed, nodes);
    schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 60 };
    schedule.disk_us = 1_000;
    let weather = ScheduledEvent::LinkConditions {
        until_ms: 60_000,
        loss: 100_000,
        duplication: 50_000,
        reordering: 50_000,
        reorder_delay_ms: 50,
    };
    let mut schedule = if lossy { schedule.with(0, weather) } else { schedule };
    schedule.until_ms = 300_000;
    schedule
}
