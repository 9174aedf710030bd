//! The states of one node, numbered, and the transitions between them by input.
//!
//! A node cannot be copied, and need not be: a state is kept as the inputs that led to it first, and a step replays
//! those inputs and adds one. Every step is taken once. Invariant: two paths to one state have the same future.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use nelumbo_core::api::{AttemptFailure, Command, Config, Event, Input, NewSession, Phase, TimerReason};
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{Network, PublicKey, PublicNonce, Signature, Suite};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{AbortReason, Body, Content, Message, Presence, SessionId, SessionMessage, seal};

use super::test_node::{RecordingHost, Records, TestNode, WALL, now_ahead, peer, secret};
use super::{Fault, Scope};
use crate::crypto::{Crypto, Meter, Toy};

/// How long a coordinator's turn lasts.
pub(super) const TURN: Duration = Duration::from_secs(60);

const SECOND: u64 = 1_000_000_000;
const START: u64 = 3_600 * SECOND;
/// Longer than anything takes here.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3_600);
/// By how many milliseconds a clock jumps: past the end of everything.
const JUMP: u64 = 30 * 24 * 3_600_000;
/// The incarnations of copies are numbered from here.
const COPY: u8 = 8;

/// The number of a node's state.
pub(super) type NodeStateId = u32;
/// The number of a message, whoever its receivers are.
pub(super) type MessageId = u16;
/// A set of nodes, one bit each.
pub(super) type NodeSet = u8;

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum NodeInput {
    /// It creates the session.
    Create,
    /// A message arrives.
    Deliver(MessageId),
    /// The connection to another node is down.
    Disconnected(u8),
    /// The connection to another node is up.
    Connected(u8),
    /// Its clock advances by this many nanoseconds.
    Pass(u64),
    /// Its embedder has broadcast the signature.
    Confirm,
    /// Its embedder aborts the session.
    Abort,
    /// Its wall clock jumps ahead, or back.
    Jump,
    /// It starts after a crash, while these other nodes are up.
    Boot(NodeSet),
    /// It starts as a copy of a node that goes on, while these other nodes are up.
    Copy(NodeSet),
}

/// The outcome of one step of a node.
#[derive(Clone, Debug)]
pub(super) struct Transition {
    pub(super) next: NodeStateId,
    /// The messages that it sends: receiver and message.
    pub(super) sends: Vec<(u8, MessageId)>,
    /// Whether something was written to the disk.
    pub(super) wrote: bool,
}

/// The part of a node's state that others can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct NodeSummary {
    pub(super) phase: Option<Phase>,
    pub(super) signature: Option<Signature>,
    /// It was told to broadcast, since it started last.
    pub(super) due: bool,
    pub(super) confirmed: bool,
    pub(super) exhausted: bool,
    /// After how many nanoseconds a timer of the session fires.
    pub(super) deadline: Option<u64>,
    /// Its wall clock is ahead.
    pub(super) is_ahead: bool,
}

/// What a message says about the session: its author, the attempt, and the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) author: u8,
    pub(super) attempt: u32,
    pub(super) content: Content,
}

/// What a node starts with.
struct Start {
    node: u8,
    incarnation: u8,
    clock: u64,
    is_ahead: bool,
    connected: NodeSet,
    records: Rc<Records>,
    completed: Option<u64>,
}

struct NodeState {
    node: u8,
    incarnation: u8,
    clock: u64,
    /// The other nodes that were up when it started, and the disk as it was then.
    connected: NodeSet,
    before: Rc<Records>,
    /// The disk now.
    records: Rc<Records>,
    from: Option<(NodeStateId, NodeInput)>,
    /// Messages that came before the session was known.
    pending: Vec<MessageId>,
    /// The highest attempt in the messages of each author, below which replay protection lets nothing in.
    highest_attempts: [u32; 8],
    /// When the session completed here first, before or after a restart.
    completed: Option<u64>,
    summary: NodeSummary,
}

/// All states of all nodes that were reached, and all messages.
pub(super) struct NodeStates {
    scope: Scope,
    keys: Vec<PublicKey>,
    /// Each node's place in the order of the turns.
    places: Vec<u64>,
    node_states: Vec<NodeState>,
    by_key: HashMap<String, NodeStateId>,
    transitions: HashMap<(NodeStateId, NodeInput), Transition>,
    messages: Vec<Statement>,
    by_bytes: HashMap<Bytes, MessageId>,
    /// Signers who misbehave, or of whom there are two.
    doubtful: NodeSet,
    session: Option<SessionId>,
}

impl NodeStates {
    pub(super) fn new(scope: Scope) -> Self {
        let keys: Vec<_> = (0..scope.signers).map(|node| Toy::public_key(&secret(node)).expect("a key")).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let election = Election::new(Method::Lexicographic, &sorted).expect("the keys are distinct");
        let place = |key: &PublicKey| election.priority().iter().position(|index| sorted[*index] == *key);
        let places = keys.iter().map(|key| place(key).expect("everyone has a place") as u64).collect();
        Self {
            scope,
            keys,
            places,
            node_states: Vec::new(),
            by_key: HashMap::new(),
            transitions: HashMap::new(),
            messages: Vec::new(),
            by_bytes: HashMap::new(),
            doubtful: if scope.equivocations > 0 { 1 << (scope.signers - 1) } else { 0 },
            session: None,
        }
    }

    /// A node that has started for the first time, connected to all others.
    pub(super) fn first(&mut self, node: u8) -> Result<NodeStateId, String> {
        let connected = ((1_u16 << self.scope.signers) - 1) as NodeSet;
        let (records, completed) = (Rc::default(), None);
        let start = Start { node, incarnation: 0, clock: START, is_ahead: false, connected, records, completed };
        Ok(self.boot(start)?.next)
    }

    /// Whether a signer misbehaves, or there are two of it: what it says of itself is nobody's fault any more.
    pub(super) fn is_doubtful(&self, node: u8) -> bool {
        self.doubtful & 1 << node != 0 || self.scope.clones > 0
    }

    /// The message that a signer who equivocates sends instead of this one; nothing for what shows no nonce.
    pub(super) fn forge(&mut self, message: MessageId) -> Option<MessageId> {
        let Statement { author, attempt, mut content } = self.statement(message).clone();
        let (Content::Announce { nonces, .. } | Content::Join { nonces }) = &mut content else { return None };
        let nonce = nonces.last_mut()?;
        let mut other = *nonce.as_bytes();
        // The one that it was made from stays recognisable, so that it is made once.
        if other[65] == 0 {
            return None;
        }
        other[65] = 0;
        *nonce = PublicNonce::from_bytes(other);
        Some(self.number(author, attempt, content))
    }

    pub(super) fn summary(&self, state: NodeStateId) -> &NodeSummary {
        &self.node_states[state as usize].summary
    }

    pub(super) fn statement(&self, message: MessageId) -> &Statement {
        &self.messages[usize::from(message)]
    }

    pub(super) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn len(&self) -> usize {
        self.node_states.len()
    }

    /// The transition from this state by this input.
    pub(super) fn step(&mut self, state: NodeStateId, input: NodeInput) -> Result<Transition, String> {
        if let Some(known) = self.transitions.get(&(state, input)) {
            return Ok(known.clone());
        }
        let transition = match input {
            NodeInput::Boot(connected) | NodeInput::Copy(connected) => {
                let NodeState { node, incarnation, clock, records, completed, summary, .. } =
                    &self.node_states[state as usize];
                let loses = self.scope.fault == Some(Fault::LosesJournal);
                let records = if loses { Rc::default() } else { records.clone() };
                let incarnation = incarnation + if matches!(input, NodeInput::Copy(_)) { COPY } else { 1 };
                let (node, clock, is_ahead, completed) = (*node, *clock, summary.is_ahead, *completed);
                self.boot(Start { node, incarnation, clock, is_ahead, connected, records, completed })?
            }
            _ => self.advance(state, input)?,
        };
        self.transitions.insert((state, input), transition.clone());
        Ok(transition)
    }

    fn boot(&mut self, start: Start) -> Result<Transition, String> {
        let Start { node, incarnation, clock, is_ahead, connected, records, completed } = start;
        let (before, from) = (records.clone(), None);
        let (pending, highest_attempts) = (Vec::new(), [0; 8]);
        let summary = NodeSummary { is_ahead, ..NodeSummary::default() };
        let state = NodeState {
            node,
            incarnation,
            clock,
            connected,
            before,
            records,
            from,
            pending,
            highest_attempts,
            completed,
            summary,
        };
        let test_node = self.boot_node(&state);
        self.settle(state, test_node)
    }

    fn advance(&mut self, id: NodeStateId, input: NodeInput) -> Result<Transition, String> {
        // The way back to the boot, then forth again.
        let (mut way, mut at) = (vec![input], id);
        while let Some((before, input)) = self.node_states[at as usize].from {
            way.push(input);
            at = before;
        }
        let mut test_node = self.boot_node(&self.node_states[at as usize]);
        for input in way.iter().rev() {
            test_node.begin();
            self.apply(&mut test_node, *input);
        }
        let state = &self.node_states[id as usize];
        let (mut pending, mut highest_attempts) = (state.pending.clone(), state.highest_attempts);
        if let NodeInput::Deliver(message) = input {
            pending.push(message);
            let Statement { author, attempt, .. } = self.statement(message);
            let highest = &mut highest_attempts[usize::from(*author)];
            *highest = (*attempt).max(*highest);
        }
        let next = NodeState {
            clock: test_node.clock,
            before: state.before.clone(),
            records: state.records.clone(),
            from: Some((id, input)),
            pending,
            highest_attempts,
            ..*state
        };
        self.settle(next, test_node)
    }

    /// Returns the number of the state that the node is in, which may be a new one.
    fn settle(&mut self, mut state: NodeState, mut test_node: TestNode) -> Result<Transition, String> {
        (state.clock, state.summary.is_ahead) = (test_node.clock, test_node.ahead > 0);
        self.check_events(&mut state, &test_node)?;
        let view = test_node.node.view();
        let session = view.sessions().next();
        if let Some(session) = &session {
            self.session = Some(session.id);
            state.pending.clear();
        }
        state.pending.sort_unstable();
        state.pending.dedup();
        state.summary.phase = session.as_ref().map(|session| session.phase);
        state.summary.signature = session.and_then(|session| session.signatures.first().copied());
        state.summary.deadline = view.deadlines().find(|deadline| is_protocol(&deadline.reason)).map(|deadline| {
            // A timer that is due already fires with the next nanosecond.
            deadline.at.as_nanos().saturating_sub(test_node.clock).max(1)
        });
        let NodeSummary { due, confirmed, exhausted, is_ahead, .. } = state.summary;
        // Whatever comes after a crash begins with what is on the disk, and the next nonce with how many came before.
        let (drawn, on_disk) = (test_node.host.drawn, test_node.host.records.keys().collect::<Vec<_>>());
        let key = format!(
            "{} {} {is_ahead} {due} {confirmed} {exhausted} {:?} {:?} {drawn} {on_disk:?} {}",
            state.node,
            state.incarnation,
            state.pending,
            state.highest_attempts,
            view.fingerprint()
        );
        let wrote = test_node.host.wrote;
        if wrote {
            state.records = Rc::new(std::mem::take(&mut test_node.host.records));
        }
        let sent = std::mem::take(&mut test_node.host.sent);
        let sends = sent.into_iter().filter_map(|(to, bytes)| Some((to, self.intern(bytes)?))).collect();
        let next = match self.by_key.get(&key) {
            Some(known) => *known,
            None => {
                let id = NodeStateId::try_from(self.node_states.len()).expect("memory is smaller");
                self.node_states.push(state);
                self.by_key.insert(key, id);
                id
            }
        };
        Ok(Transition { next, sends, wrote })
    }

    /// Checks the events that a node emitted in this step.
    fn check_events(&self, state: &mut NodeState, test_node: &TestNode) -> Result<(), String> {
        let (place, everyone) = (self.places[usize::from(state.node)], u64::from(self.scope.signers));
        for event in &test_node.host.events {
            let elapsed = Duration::from_nanos(test_node.clock - state.completed.unwrap_or(test_node.clock));
            let turns = (elapsed.as_nanos() / TURN.as_nanos()) as u64;
            match event {
                Event::SessionCompleted { .. } => drop(state.completed.get_or_insert(test_node.clock)),
                Event::ShouldBroadcast { .. } if turns < place => {
                    return Err(format!("node {} is to broadcast before its turn", state.node));
                }
                Event::ShouldBroadcast { .. } => state.summary.due = true,
                Event::FailoverExhausted { .. } if turns < everyone => {
                    return Err(format!("node {} gives the broadcast up before everyone's turn", state.node));
                }
                Event::FailoverExhausted { .. } => state.summary.exhausted = true,
                Event::BroadcastClaimed { .. } => state.summary.confirmed = true,
                Event::SignerMisbehaved { signer, .. } => self.check_blame(state.node, &[*signer])?,
                Event::AttemptFailed { failure: AttemptFailure::InvalidPartial(faults), .. } => {
                    self.check_blame(state.node, &faults.iter().map(|fault| fault.signer).collect::<Vec<_>>())?;
                }
                Event::AttemptFailed { failure: AttemptFailure::InvalidNonce(fault), .. } => {
                    self.check_blame(state.node, &[fault.signer])?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_blame(&self, node: u8, blamed: &[PublicKey]) -> Result<(), String> {
        let is_honest =
            |key: &&PublicKey| (0..).zip(&self.keys).any(|(node, other)| other == *key && !self.is_doubtful(node));
        match blamed.iter().find(is_honest) {
            Some(signer) => Err(format!("node {node} blames the honest signer {signer}")),
            None => Ok(()),
        }
    }

    /// A node that has started and is connected to the others.
    fn boot_node(&self, state: &NodeState) -> TestNode {
        let NodeState { node, incarnation, clock, connected, before, summary, .. } = state;
        let incarnation = match self.scope.fault {
            Some(Fault::SameEntropy) => 0,
            Some(Fault::SameCopies) => *incarnation % COPY,
            _ => *incarnation,
        };
        let entropy = Entropy::new([1 + 16 * *node + incarnation; 32]).expect("not all zero");
        let meter = Meter::default();
        let message_signer = Toy::message_signer(&secret(*node), entropy.stream("messages"), &meter);
        let signer = Toy::signer(&secret(*node), entropy.stream("signer"), &meter);
        let records: Vec<_> = before.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let boot = Boot { message_signer, verifier: Toy::verifier(&meter), entropy, peer: peer(*node), records };
        let host = RecordingHost { records: (**before).clone(), ..RecordingHost::default() };
        let ahead = if summary.is_ahead { JUMP } else { 0 };
        let is_stopped = self.scope.fault == Some(Fault::StoppedClock);
        let now = now_ahead(*clock, if is_stopped { 0 } else { ahead });
        let node = Node::new(self.config(), boot, now).expect("a node reads what it wrote");
        let mut test_node = TestNode { node, signer, host, clock: *clock, ahead, is_stopped, position: 0 };
        test_node.settle();
        // The time that a node takes to sign its presence; it shows it to whoever connects.
        test_node.clock += SECOND / 8;
        test_node.input(Input::Tick);
        for other in (0..self.scope.signers).filter(|other| *other != state.node && connected & (1 << other) != 0) {
            self.connect(&mut test_node, other);
        }
        test_node
    }

    fn connect(&self, test_node: &mut TestNode, other: u8) {
        let from = peer(other);
        test_node.input(Input::Connected(from));
        // By the clock of whoever hears it: what is dated otherwise is for the model of discovery.
        let issued_at = Wall::from_millis(WALL + test_node.ahead);
        let expires_at = issued_at.checked_add(FOREVER).expect("within the integers");
        let presence = Body::Presence(Presence { peer: from, addresses: Vec::new(), issued_at, expires_at });
        let bytes = self.seal(other, presence);
        test_node.input(Input::Received { from, bytes });
    }

    fn apply(&self, test_node: &mut TestNode, input: NodeInput) {
        match input {
            NodeInput::Create => {
                let session = NewSession::new(Suite::Lotus, self.keys.clone(), vec![7; 32]);
                test_node.command(Command::Create(Box::new(session)));
            }
            NodeInput::Deliver(message) => {
                test_node.position += 1;
                let bytes = self.duplicate(message, test_node.position);
                test_node.input(Input::Received { from: peer(self.statement(message).author), bytes });
            }
            NodeInput::Disconnected(other) => test_node.input(Input::Disconnected(peer(other))),
            NodeInput::Connected(other) => self.connect(test_node, other),
            NodeInput::Pass(nanos) => {
                test_node.clock += nanos;
                test_node.input(Input::Tick);
            }
            NodeInput::Confirm => {
                test_node.command(Command::ConfirmBroadcast(self.session.expect("a session is known")))
            }
            NodeInput::Abort => {
                test_node.command(Command::Abort(self.session.expect("a session is known"), AbortReason::Declined));
            }
            NodeInput::Jump => {
                test_node.ahead = if test_node.ahead > 0 { 0 } else { JUMP };
                test_node.input(Input::Tick);
            }
            NodeInput::Boot(_) | NodeInput::Copy(_) => unreachable!("a boot begins another life"),
        }
    }

    /// A message as it arrives: the receiver's count gives it a number that was not there before.
    fn duplicate(&self, message: MessageId, sequence: u64) -> Bytes {
        let Statement { author, attempt, content } = self.statement(message).clone();
        let session = self.session.expect("what is said is of a session");
        self.seal(author, Body::Session(SessionMessage { session, attempt, sequence, content }))
    }

    fn seal(&self, author: u8, body: Body) -> Bytes {
        let entropy = Entropy::new([255; 32]).expect("not all zero");
        let mut author = Toy::message_signer(&secret(author), entropy, &Meter::default());
        seal(author.as_mut(), Network::Regtest, body).expect("the stand-in signs")
    }

    /// The message's number, whatever its place in its author's sequence. Presences have none: they arrive at once.
    fn intern(&mut self, bytes: Bytes) -> Option<MessageId> {
        let message = Message::decode(bytes).expect("a node sends messages").unsigned;
        let author = self.keys.iter().position(|key| *key == message.author).expect("a signer") as u8;
        let Body::Session(SessionMessage { session, attempt, content, .. }) = message.body else { return None };
        self.session = Some(session);
        Some(self.number(author, attempt, content))
    }

    fn number(&mut self, author: u8, attempt: u32, content: Content) -> MessageId {
        let session = self.session.expect("what is said is of a session");
        let step = SessionMessage { session, attempt, sequence: 0, content: content.clone() };
        let key = self.seal(author, Body::Session(step));
        *self.by_bytes.entry(key).or_insert_with(|| {
            self.messages.push(Statement { author, attempt, content });
            MessageId::try_from(self.messages.len() - 1).expect("few messages make a small world")
        })
    }

    fn config(&self) -> Config {
        let mut config = Config::new(Network::Regtest);
        config.session_timeout = FOREVER;
        config.presence_lifetime = FOREVER;
        config.limits.early_lifetime = FOREVER;
        config.stall = Duration::from_secs(1);
        config.stall_max = Duration::from_secs(2);
        config.stuck_timeout = Duration::from_secs(4);
        config.retries = 1;
        config.broadcast_timeout = TURN;
        if self.scope.fault == Some(Fault::HastyTurns) {
            config.broadcast_timeout = Duration::from_millis(1);
        }
        config
    }
}

fn is_protocol(reason: &TimerReason) -> bool {
    matches!(reason, TimerReason::Stalled(_) | TimerReason::Retry(_) | TimerReason::Turn(_))
}
