//! The states of one node in discovery, numbered, and the transitions between them by input.
//!
//! As in the model of sessions a state is kept as the inputs that led to it first, and a step replays those inputs and
//! adds one. Invariant: two paths to one state have the same future.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use nelumbo_core::api::{
    Command, CommandId, Config, Event, GossipId, Input, NewSession, Output, PutId, Quota, SignerFilter, TimerReason,
};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Entropy, Network, PublicKey, Suite};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Address, Body, List, Message, Offer, RecordKey, TransactionType};

use super::super::test_node::{now, peer, secret};
use super::test_node::TestNode;
use super::{DiscoveryFault, DiscoveryScope};
use crate::crypto::{Crypto, Meter, Toy};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 3_600 * SECOND;
/// The lifetime of every announcement: longer than anything takes here.
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// Timers beyond this are renewals, which begin everything anew: they are left out.
const HORIZON: u64 = 3_600 * SECOND;
/// How many announcements of one kind a key may sign.
pub(super) const QUOTA: Quota = Quota { burst: 3, every: Duration::from_secs(10) };

/// The number of a node's state.
pub(super) type NodeStateId = u32;
/// The number of a message or of a record's value.
pub(super) type ValueId = u16;
/// The number of a record's name.
pub(super) type NameId = u8;

/// An input of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NodeInput {
    /// Its embedder offers to sign; each number is another offer.
    Advertise(u8),
    /// Its embedder withdraws the offer.
    Withdraw,
    /// It has this address.
    Address(u8),
    /// Its embedder searches for signers.
    FindSigners,
    /// Its embedder wants a session with the first node.
    Create,
    /// A message comes by gossip.
    Gossip(u8, ValueId),
    /// A message comes over a connection.
    Direct(u8, ValueId),
    /// A peer asks it to store a record, beside what it has stored under this name.
    Put(u8, NameId, ValueId, Option<ValueId>),
    /// A lookup finds a value.
    Found(NameId, ValueId),
    /// A lookup has ended.
    LookupFinished(NameId),
    /// The first connection to a node is up.
    Connected(u8),
    /// The last connection to a node is down.
    Disconnected(u8),
    /// So many nanoseconds pass.
    Pass(u64),
    /// It forgets everything: a fault on purpose, to test that it is found.
    Forget,
}

/// The outcome of one step of a node.
#[derive(Clone, Debug)]
pub(super) struct Transition {
    pub(super) next: NodeStateId,
    pub(super) sends: Vec<(u8, ValueId)>,
    pub(super) gossip: Vec<ValueId>,
    pub(super) puts: Vec<(NameId, ValueId)>,
    pub(super) dials: Vec<u8>,
    pub(super) lookups: Vec<NameId>,
    /// The value that it stores of a record that it was asked to store.
    pub(super) accepted: Option<ValueId>,
}

/// The part of a node's state that others can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeSummary {
    /// After how many nanoseconds the next timer fires.
    pub(super) deadline: Option<u64>,
    /// When it signed its newest offer, or that there is none any more.
    pub(super) advertised: Option<Wall>,
    /// The searches that have not ended.
    pub(super) searching: usize,
    /// Whether it has a live session with a signer that is out of reach.
    pub(super) is_lacking: bool,
    /// When each announcement that it knows was signed.
    pub(super) known: BTreeMap<RecordKey, Wall>,
}

#[derive(Clone)]
struct NodeState {
    node: u8,
    clock: u64,
    from: Option<(NodeStateId, NodeInput)>,
    summary: NodeSummary,
    /// The signers that each search has found, until it has ended.
    searches: BTreeMap<CommandId, BTreeSet<PublicKey>>,
    /// The signing time of the newest offer of each signer that it has reported.
    discovered: BTreeMap<PublicKey, Wall>,
    /// When it signed announcements, by kind, as long as they count against the quota.
    signed: [Vec<u64>; 2],
}

/// What all states of the model share.
pub(in super::super) struct Nodes {
    scope: DiscoveryScope,
    pub(super) keys: Vec<PublicKey>,
    /// The names of records that anybody stores.
    names: Vec<RecordKey>,
    states: Vec<NodeState>,
    by_text: HashMap<String, NodeStateId>,
    transitions: HashMap<(NodeStateId, NodeInput), Transition>,
    values: Vec<Bytes>,
    by_bytes: HashMap<Bytes, ValueId>,
}

impl Nodes {
    pub(super) fn new(scope: DiscoveryScope) -> Self {
        let keys: Vec<_> = (0..scope.nodes).map(|node| Toy::public_key(&secret(node)).expect("a key")).collect();
        let of_key = |key: &PublicKey| {
            let lists = [List::Signers(TransactionType::Spend), List::AllSigners];
            let entries = lists.map(|list| RecordKey::of_entry(&list, key));
            [RecordKey::Presence(*key), RecordKey::Advertisement(*key)].into_iter().chain(entries)
        };
        let names: BTreeSet<RecordKey> = keys.iter().flat_map(of_key).collect();
        Self {
            scope,
            keys,
            names: names.into_iter().collect(),
            states: Vec::new(),
            by_text: HashMap::new(),
            transitions: HashMap::new(),
            values: Vec::new(),
            by_bytes: HashMap::new(),
        }
    }

    pub(super) const fn scope(&self) -> &DiscoveryScope {
        &self.scope
    }

    pub(super) const fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn summary(&self, state: NodeStateId) -> &NodeSummary {
        &self.states[state as usize].summary
    }

    /// When a value was signed; `None` for lists.
    pub(super) fn issued_at(&self, value: ValueId) -> Option<Wall> {
        issued_at(&self.values[usize::from(value)]).map(|(_, issued_at)| issued_at)
    }

    /// A value in words.
    pub(super) fn describe(&self, value: ValueId) -> String {
        match issued_at(&self.values[usize::from(value)]) {
            Some((name, issued_at)) => format!("{name} of {}", issued_at.as_millis()),
            None => "list".to_owned(),
        }
    }

    pub(super) fn name(&self, name: NameId) -> String {
        self.names[usize::from(name)].to_string()
    }

    /// A node that has just signed its first presence, and what it sends.
    pub(super) fn first(&mut self, node: u8) -> Result<Transition, String> {
        let state = NodeState {
            node,
            clock: START,
            from: None,
            summary: NodeSummary::default(),
            searches: BTreeMap::new(),
            discovered: BTreeMap::new(),
            signed: [Vec::new(), Vec::new()],
        };
        let test_node = self.boot(node);
        self.settle(state, test_node)
    }

    /// The transition from this state by this input.
    pub(super) fn step(&mut self, state: NodeStateId, input: NodeInput) -> Result<Transition, String> {
        if let Some(known) = self.transitions.get(&(state, input)) {
            return Ok(known.clone());
        }
        let (mut inputs, mut at) = (vec![input], state);
        while let Some((before, input)) = self.states[at as usize].from {
            inputs.push(input);
            at = before;
        }
        let mut test_node = self.boot(self.states[at as usize].node);
        for input in inputs.into_iter().rev() {
            test_node.outputs.clear();
            test_node.searches.clear();
            self.apply(&mut test_node, input);
        }
        let next = NodeState { from: Some((state, input)), ..self.states[state as usize].clone() };
        let transition = self.settle(next, test_node)?;
        self.transitions.insert((state, input), transition.clone());
        Ok(transition)
    }

    fn boot(&self, node: u8) -> TestNode {
        let entropy = Entropy::new([1 + node; 32]).expect("not all zero");
        let meter = Meter::default();
        let message_signer = Toy::message_signer(&secret(node), entropy.stream("messages"), &meter);
        let boot =
            Boot { message_signer, verifier: Toy::verifier(&meter), entropy, peer: peer(node), records: Vec::new() };
        let node = Node::new(self.config(), boot, now(START)).expect("an empty journal");
        let names = self.names.iter().map(ToString::to_string).collect();
        let mut test_node =
            TestNode { node, names, clock: START, lookups: BTreeMap::new(), outputs: Vec::new(), searches: Vec::new() };
        test_node.settle();
        // The first presence waits for addresses, and what is announced for a routing table to settle.
        test_node.input(Input::RoutingTable(2));
        test_node.clock += SECOND;
        test_node.input(Input::Tick);
        test_node
    }

    fn apply(&self, test_node: &mut TestNode, input: NodeInput) {
        let value = |value: ValueId| self.values[usize::from(value)].clone();
        match input {
            NodeInput::Advertise(number) => {
                let types = vec![TransactionType::Spend];
                let offer = Offer { types, min_amount: Some(1 + u64::from(number)), ..Offer::default() };
                test_node.command(Command::Advertise { offer: Box::new(offer), lifetime: None });
            }
            NodeInput::Withdraw => test_node.command(Command::Withdraw),
            NodeInput::Address(number) => {
                let address = Address::from_bytes(vec![number]).expect("one byte is an address");
                test_node.input(Input::Addresses(vec![address]));
            }
            NodeInput::FindSigners => {
                let filter = SignerFilter { kind: Some(TransactionType::Spend), ..SignerFilter::default() };
                test_node.command(Command::FindSigners(filter));
            }
            NodeInput::Create => {
                let keys = vec![self.keys[0], test_node.node.view().own_key()];
                test_node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32]))));
            }
            NodeInput::Gossip(from, bytes) => {
                test_node.input(Input::Gossip { from: peer(from), id: GossipId(0), bytes: value(bytes) });
            }
            NodeInput::Direct(from, bytes) => {
                test_node.input(Input::Received { from: peer(from), bytes: value(bytes) });
            }
            NodeInput::Put(from, name, bytes, stored) => test_node.input(Input::PutRequested {
                subnet: None,
                from: peer(from),
                id: PutId(0),
                key: self.name(name),
                bytes: value(bytes),
                stored: stored.map(value),
            }),
            NodeInput::Found(name, bytes) => {
                if let Some(operation) = test_node.lookups.get(&self.name(name)).copied() {
                    test_node.input(Input::Found { operation, bytes: value(bytes) });
                }
            }
            NodeInput::LookupFinished(name) => {
                if let Some(operation) = test_node.lookups.remove(&self.name(name)) {
                    test_node.input(Input::LookupFinished(operation));
                }
            }
            NodeInput::Connected(other) => test_node.input(Input::Connected(peer(other))),
            NodeInput::Disconnected(other) => test_node.input(Input::Disconnected(peer(other))),
            NodeInput::Pass(nanos) => {
                test_node.clock += nanos;
                test_node.input(Input::Tick);
            }
            NodeInput::Forget => {
                let node = test_node.node.view().own_key();
                let node = self.keys.iter().position(|key| *key == node).expect("one of ours");
                let outputs = std::mem::take(&mut test_node.outputs);
                *test_node = TestNode { outputs, ..self.boot(node as u8) };
            }
        }
    }

    /// Returns the number of the state that the node is in, which may be a new one.
    fn settle(&mut self, mut state: NodeState, test_node: TestNode) -> Result<Transition, String> {
        state.clock = test_node.clock;
        let mut transition = Transition {
            next: 0,
            sends: Vec::new(),
            gossip: Vec::new(),
            puts: Vec::new(),
            dials: Vec::new(),
            lookups: Vec::new(),
            accepted: None,
        };
        state.searches.extend(test_node.searches.iter().map(|id| (*id, BTreeSet::new())));
        for output in &test_node.outputs {
            self.on_output(&mut state, &mut transition, output)?;
        }
        self.summarise(&mut state, &test_node)?;
        let counts = QUOTA.burst * QUOTA.every.as_nanos() as u64;
        state.signed.iter_mut().for_each(|times| times.retain(|at| test_node.clock - at < counts));
        let ages = state.signed.each_ref().map(|times| times.iter().map(|at| state.clock - at).collect::<Vec<_>>());
        let view = test_node.node.view();
        let NodeState { node, searches, discovered, .. } = &state;
        let phases: Vec<_> = view.sessions().map(|session| session.phase).collect();
        let own = view.discovery_fingerprint();
        let text = format!("{node} {searches:?} {discovered:?} {ages:?} {:?} {phases:?} {own}", state.summary);
        transition.next = match self.by_text.get(&text) {
            Some(known) => *known,
            None => {
                let id = NodeStateId::try_from(self.states.len()).expect("memory is smaller");
                self.states.push(state);
                self.by_text.insert(text, id);
                id
            }
        };
        Ok(transition)
    }

    fn on_output(&mut self, state: &mut NodeState, transition: &mut Transition, output: &Output) -> Result<(), String> {
        let node_of = |peer: &nelumbo_core::wire::PeerId| peer.as_bytes()[0] - 1;
        match output {
            Output::Send { to, bytes } => {
                let to = node_of(to);
                transition.sends.extend(self.announcement(bytes).map(|value| (to, value)));
            }
            Output::Publish { bytes, .. } => {
                self.check_quota(state, bytes)?;
                transition.gossip.extend(self.announcement(bytes));
            }
            Output::Store { key, value, .. } => {
                let name = self.names.iter().position(|name| name.to_string() == *key);
                if let Some(name) = name {
                    transition.puts.push((name as NameId, self.intern(value)));
                }
            }
            Output::AcceptRecord { value, .. } => transition.accepted = Some(self.intern(value)),
            Output::Dial { peer, .. } => transition.dials.push(node_of(peer)),
            Output::Lookup { key, .. } => {
                let name = self.names.iter().position(|name| name.to_string() == *key);
                transition.lookups.extend(name.map(|name| name as NameId));
            }
            Output::Event(event) => check_event(state, event)?,
            _ => {}
        }
        Ok(())
    }

    /// Checks that no more announcements of a kind are signed than a key may sign.
    fn check_quota(&self, state: &mut NodeState, bytes: &Bytes) -> Result<(), String> {
        let Some((name, issued_at)) = issued_at(bytes) else { return Ok(()) };
        let own = self.keys[usize::from(state.node)];
        let kind = match name {
            RecordKey::Presence(key) if key == own => 0,
            RecordKey::Advertisement(key) if key == own => 1,
            _ => return Ok(()),
        };
        if kind == 1 {
            state.summary.advertised = Some(issued_at);
        }
        let clock = state.clock;
        let signed = &mut state.signed[kind];
        signed.push(clock);
        for (earlier, at) in signed.iter().enumerate() {
            let allowed = QUOTA.burst + (clock - at) / QUOTA.every.as_nanos() as u64;
            if (signed.len() - earlier) as u64 > allowed {
                return Err(format!("node {} signs more announcements than a key may", state.node));
            }
        }
        Ok(())
    }

    /// Summarises the state, and checks that it may follow the one before.
    fn summarise(&self, state: &mut NodeState, test_node: &TestNode) -> Result<(), String> {
        let view = test_node.node.view();
        let is_near = |reason: &TimerReason| {
            matches!(
                reason,
                TimerReason::Presence
                    | TimerReason::Store
                    | TimerReason::Advertisement
                    | TimerReason::Seek
                    | TimerReason::NextLookup
                    | TimerReason::Search(_)
                    | TimerReason::Lookup(_)
            )
        };
        let due = |at: u64| at.saturating_sub(test_node.clock).max(1);
        let deadlines = view.deadlines().filter(|deadline| is_near(&deadline.reason));
        state.summary.deadline =
            deadlines.map(|deadline| due(deadline.at.as_nanos())).min().filter(|due| *due < HORIZON);
        state.summary.searching = state.searches.len();
        for name in &self.names {
            let (before, after) = (state.summary.known.get(name), view.issued_at(name));
            if before.is_some_and(|before| after.is_none_or(|after| after < *before)) {
                return Err(format!("node {} takes an older announcement for a newer one: {name}", state.node));
            }
            state.summary.known.extend(after.map(|after| (name.clone(), after)));
        }
        let within_reach: BTreeSet<PublicKey> =
            view.signers().filter(|(.., is_connected)| *is_connected).map(|(key, ..)| key).collect();
        let own = view.own_key();
        let mut live = view.sessions().filter(|session| !session.phase.has_ended());
        state.summary.is_lacking =
            live.any(|session| session.definition.keys.iter().any(|key| *key != own && !within_reach.contains(key)));
        if state.summary.is_lacking && !view.deadlines().any(|deadline| deadline.reason == TimerReason::Seek) {
            return Err(format!("node {} neither reaches a signer of its session nor will seek it", state.node));
        }
        Ok(())
    }

    /// The number of an announcement; steps of sessions are explored in the model of sessions.
    fn announcement(&mut self, bytes: &Bytes) -> Option<ValueId> {
        issued_at(bytes).map(|_| self.intern(bytes))
    }

    fn intern(&mut self, bytes: &Bytes) -> ValueId {
        if let Some(known) = self.by_bytes.get(bytes) {
            return *known;
        }
        let id = ValueId::try_from(self.values.len()).expect("few announcements make a small world");
        self.values.push(bytes.clone());
        self.by_bytes.insert(bytes.clone(), id);
        id
    }

    fn config(&self) -> Config {
        let mut config = Config::new(Network::Regtest);
        config.session_timeout = LONG;
        config.presence_lifetime = LONG;
        config.republish = LONG;
        config.stall = Duration::from_secs(1);
        config.stall_max = Duration::from_secs(2);
        config.stuck_timeout = Duration::from_secs(4);
        config.retries = 1;
        config.limits.lookup_rate = Quota { burst: 256, every: Duration::from_nanos(1) };
        let quota =
            if self.scope.fault == Some(DiscoveryFault::NoQuota) { Quota { burst: 99, ..QUOTA } } else { QUOTA };
        (config.limits.presences_per_key, config.limits.advertisements_per_key) = (quota, quota);
        config
    }
}

/// Checks that a node reports each signer once, to searches that have not ended, and never an older offer after a newer
/// one.
fn check_event(state: &mut NodeState, event: &Event) -> Result<(), String> {
    let node = state.node;
    match event {
        Event::SignerFound { command, key } => {
            let found = state.searches.get_mut(command);
            if !found.is_some_and(|found| found.insert(*key)) {
                return Err(format!("node {node} tells a search of a signer twice, or after it has ended"));
            }
        }
        Event::SearchFinished { command, found } => {
            let told = state.searches.remove(command).map(|told| told.len());
            if told != Some(*found) {
                return Err(format!("node {node} says {found} were found, and has told of {told:?}"));
            }
        }
        Event::SignerDiscovered { key, advertisement } => {
            let before = state.discovered.insert(*key, advertisement.issued_at);
            if before.is_some_and(|before| before >= advertisement.issued_at) {
                return Err(format!("node {node} tells of an offer that it has told of"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// The key of an announcement's record, and when it was signed. `None` for lists, and for messages that are no
/// announcement.
fn issued_at(bytes: &Bytes) -> Option<(RecordKey, Wall)> {
    let message = Message::decode(bytes.clone()).ok()?.unsigned;
    let issued_at = match &message.body {
        Body::Presence(presence) => presence.issued_at,
        Body::Advertisement(advertisement) => advertisement.issued_at,
        _ => return None,
    };
    Some((RecordKey::of(&message.author, &message.body)?, issued_at))
}
