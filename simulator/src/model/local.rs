//! One node: its states, numbered, and what each input makes of each of them.
//!
//! A node cannot be copied, and need not be: a state is the way that led to it first, and a step is taken by going that
//! way again and one input further. Every step is taken once. Invariant: two ways to one state have the same future.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use nelumbo_core::api::{
    Command, Config, Event, GossipId, Input, NewSession, OperationId, Phase, RecordSequence, TimerReason, Topic,
    Verdict,
};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{Network, PublicKey, Signature, Suite};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{
    AbortReason, Address, Body, Content, Message, PeerId, Presence, SessionId, SessionMessage, seal,
};

use super::{Fault, Scope};
use crate::crypto::{Crypto, Meter, Toy, ToyVerifier};

/// A coordinator's turn.
pub(super) const TURN: Duration = Duration::from_secs(60);

const SECOND: u64 = 1_000_000_000;
const START: u64 = 3_600 * SECOND;
const WALL: u64 = 1_767_225_600_000;
/// Longer than anything takes here.
const FOREVER: Duration = Duration::from_secs(1_000 * 3_600);

/// A state of one node.
pub(super) type LocalId = u32;
/// A message, whoever it is for.
pub(super) type MessageId = u16;
/// A set of nodes.
pub(super) type Nodes = u8;

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Cause {
    /// It creates the session.
    Create,
    /// A message arrives.
    Deliver(MessageId),
    /// Another node is gone.
    Lost(u8),
    /// Another node is back.
    Met(u8),
    /// Its clock goes on by this many nanoseconds.
    Pass(u64),
    /// Its owner has broadcast.
    Confirm,
    /// Its owner refuses.
    Abort,
    /// After a crash it boots, and these others are up.
    Boot(Nodes),
}

/// What one step of a node comes to.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) next: LocalId,
    /// To whom, and what.
    pub(super) sends: Vec<(u8, MessageId)>,
    /// Whether something was written to the disk.
    pub(super) wrote: bool,
}

/// What can be seen of a node's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) phase: Option<Phase>,
    pub(super) signature: Option<Signature>,
    /// It was told to broadcast, in this life.
    pub(super) due: bool,
    pub(super) confirmed: bool,
    pub(super) exhausted: bool,
    /// After how many nanoseconds a timer of the session fires.
    pub(super) deadline: Option<u64>,
}

/// What is said of the session: who says it, in which attempt, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saying {
    pub(super) author: u8,
    pub(super) attempt: u32,
    pub(super) content: Content,
}

struct Local {
    node: u8,
    life: u8,
    clock: u64,
    /// The others that were up at its boot, and the disk as it was then.
    met: Nodes,
    before: Rc<Records>,
    /// The disk now.
    records: Rc<Records>,
    from: Option<(LocalId, Cause)>,
    /// Messages that came before the session was known.
    early: Vec<MessageId>,
    /// The highest attempt that each author has spoken of, below which replay protection lets nothing in.
    heard: [u32; 8],
    /// When it completed first, in any life.
    completed: Option<u64>,
    facts: Facts,
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// All states of all nodes that were come by, and all messages.
pub(super) struct Locals {
    scope: Scope,
    keys: Vec<PublicKey>,
    /// Each node's place in the order of the turns.
    places: Vec<u64>,
    locals: Vec<Local>,
    by_key: HashMap<String, LocalId>,
    effects: HashMap<(LocalId, Cause), Effect>,
    messages: Vec<Saying>,
    by_bytes: HashMap<Bytes, MessageId>,
    session: Option<SessionId>,
}

impl Locals {
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
            locals: Vec::new(),
            by_key: HashMap::new(),
            effects: HashMap::new(),
            messages: Vec::new(),
            by_bytes: HashMap::new(),
            session: None,
        }
    }

    /// A node in its first life, connected to all others.
    pub(super) fn first(&mut self, node: u8) -> Result<LocalId, String> {
        let met = ((1_u16 << self.scope.signers) - 1) as Nodes;
        Ok(self.boot(node, 0, START, met, Rc::default(), None)?.next)
    }

    pub(super) fn facts(&self, local: LocalId) -> &Facts {
        &self.locals[local as usize].facts
    }

    pub(super) fn saying(&self, message: MessageId) -> &Saying {
        &self.messages[usize::from(message)]
    }

    pub(super) fn len(&self) -> usize {
        self.locals.len()
    }

    /// What comes of this in that state.
    pub(super) fn step(&mut self, local: LocalId, cause: Cause) -> Result<Effect, String> {
        if let Some(known) = self.effects.get(&(local, cause)) {
            return Ok(known.clone());
        }
        let effect = if let Cause::Boot(met) = cause {
            let Local { node, life, clock, records, completed, .. } = &self.locals[local as usize];
            let records = if self.scope.fault == Some(Fault::LosesJournal) { Rc::default() } else { records.clone() };
            self.boot(*node, life + 1, *clock, met, records, *completed)?
        } else {
            self.go_on(local, cause)?
        };
        self.effects.insert((local, cause), effect.clone());
        Ok(effect)
    }

    fn boot(
        &mut self,
        node: u8,
        life: u8,
        clock: u64,
        met: Nodes,
        records: Rc<Records>,
        completed: Option<u64>,
    ) -> Result<Effect, String> {
        let (before, from) = (records.clone(), None);
        let (early, heard, facts) = (Vec::new(), [0; 8], Facts::default());
        let local = Local { node, life, clock, met, before, records, from, early, heard, completed, facts };
        let desk = self.awake(&local);
        self.settle(local, desk)
    }

    fn go_on(&mut self, id: LocalId, cause: Cause) -> Result<Effect, String> {
        // The way back to the boot, then forth again.
        let (mut way, mut at) = (vec![cause], id);
        while let Some((before, cause)) = self.locals[at as usize].from {
            way.push(cause);
            at = before;
        }
        let mut desk = self.awake(&self.locals[at as usize]);
        for cause in way.iter().rev() {
            desk.begin();
            self.apply(&mut desk, *cause);
        }
        let local = &self.locals[id as usize];
        let (mut early, mut heard) = (local.early.clone(), local.heard);
        if let Cause::Deliver(message) = cause {
            early.push(message);
            let Saying { author, attempt, .. } = self.saying(message);
            let highest = &mut heard[usize::from(*author)];
            *highest = (*attempt).max(*highest);
        }
        let next = Local {
            clock: desk.clock,
            before: local.before.clone(),
            records: local.records.clone(),
            from: Some((id, cause)),
            early,
            heard,
            ..*local
        };
        self.settle(next, desk)
    }

    /// Makes a state of what the node has become, or finds the one that it is.
    fn settle(&mut self, mut local: Local, mut desk: Desk) -> Result<Effect, String> {
        local.clock = desk.clock;
        self.judge(&mut local, &desk)?;
        let view = desk.node.view();
        let session = view.sessions().next();
        if let Some(session) = &session {
            self.session = Some(session.id);
            local.early.clear();
        }
        local.early.sort_unstable();
        local.early.dedup();
        local.facts.phase = session.as_ref().map(|session| session.phase);
        local.facts.signature = session.and_then(|session| session.signature);
        local.facts.deadline = desk.node.deadline().filter(|deadline| is_protocol(&deadline.reason)).map(|deadline| {
            // A timer that is due already fires with the next nanosecond.
            deadline.at.as_nanos().saturating_sub(desk.clock).max(1)
        });
        let Facts { due, confirmed, exhausted, .. } = local.facts;
        let key = format!(
            "{} {} {due} {confirmed} {exhausted} {:?} {:?} {}",
            local.node,
            local.life,
            local.early,
            local.heard,
            view.fingerprint()
        );
        let wrote = desk.host.wrote;
        if wrote {
            local.records = Rc::new(std::mem::take(&mut desk.host.records));
        }
        let sent = std::mem::take(&mut desk.host.sent);
        let sends = sent.into_iter().filter_map(|(to, bytes)| Some((to, self.intern(bytes)?))).collect();
        let next = match self.by_key.get(&key) {
            Some(known) => *known,
            None => {
                let id = LocalId::try_from(self.locals.len()).expect("memory is smaller");
                self.locals.push(local);
                self.by_key.insert(key, id);
                id
            }
        };
        Ok(Effect { next, sends, wrote })
    }

    /// What a node has told its owner in this step, and whether it may.
    fn judge(&self, local: &mut Local, desk: &Desk) -> Result<(), String> {
        let (place, everyone) = (self.places[usize::from(local.node)], u64::from(self.scope.signers));
        for event in &desk.host.events {
            let elapsed = Duration::from_nanos(desk.clock - local.completed.unwrap_or(desk.clock));
            let turns = (elapsed.as_nanos() / TURN.as_nanos()) as u64;
            match event {
                Event::SessionCompleted { .. } => drop(local.completed.get_or_insert(desk.clock)),
                Event::ShouldBroadcast { .. } if turns < place => {
                    return Err(format!("node {} is to broadcast before its turn", local.node));
                }
                Event::ShouldBroadcast { .. } => local.facts.due = true,
                Event::FailoverExhausted { .. } if turns < everyone => {
                    return Err(format!("node {} gives the broadcast up before everyone's turn", local.node));
                }
                Event::FailoverExhausted { .. } => local.facts.exhausted = true,
                Event::BroadcastConfirmed { .. } => local.facts.confirmed = true,
                Event::SignerMisbehaved { signer, .. } => {
                    return Err(format!("node {} blames the honest signer {signer}", local.node));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A node that has booted and met the others.
    fn awake(&self, local: &Local) -> Desk {
        let Local { node, life, clock, met, before, .. } = local;
        let life = if self.scope.fault == Some(Fault::SameEntropy) { 0 } else { *life };
        let entropy = Entropy::new([1 + 16 * *node + life; 32]).expect("not all zero");
        let (signer, verifier) = Toy::boot(&secret(*node), entropy.stream("signer"), &Meter::default());
        let records: Vec<_> = before.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let boot = Boot { signer, verifier, entropy, peer: peer(*node), records };
        let host = Surroundings { records: (**before).clone(), ..Surroundings::default() };
        let node_of = Node::new(self.config(), boot, now(*clock)).expect("a node reads what it wrote");
        let mut desk = Desk { node: node_of, host, clock: *clock, position: 0 };
        desk.settle();
        // The time that a node takes to sign its presence; it shows it to whoever connects.
        desk.clock += SECOND / 8;
        desk.input(Input::Tick);
        for other in (0..self.scope.signers).filter(|other| other != node && met & (1 << other) != 0) {
            self.meet(&mut desk, other);
        }
        desk
    }

    fn meet(&self, desk: &mut Desk, other: u8) {
        let from = peer(other);
        desk.input(Input::Connected(from));
        let issued_at = Wall::from_millis(WALL);
        let expires_at = issued_at.checked_add(FOREVER).expect("within the integers");
        let presence = Body::Presence(Presence { peer: from, addresses: Vec::new(), issued_at, expires_at });
        let bytes = self.seal(other, presence);
        desk.input(Input::Received { from, bytes });
    }

    fn apply(&self, desk: &mut Desk, cause: Cause) {
        match cause {
            Cause::Create => {
                let session = NewSession::new(Suite::Lotus, self.keys.clone(), vec![7; 32]);
                desk.command(Command::Create(Box::new(session)));
            }
            Cause::Deliver(message) => {
                desk.position += 1;
                let bytes = self.copy(message, desk.position);
                desk.input(Input::Received { from: peer(self.saying(message).author), bytes });
            }
            Cause::Lost(other) => desk.input(Input::Disconnected(peer(other))),
            Cause::Met(other) => self.meet(desk, other),
            Cause::Pass(nanos) => {
                desk.clock += nanos;
                desk.input(Input::Tick);
            }
            Cause::Confirm => desk.command(Command::ConfirmBroadcast(self.session.expect("a session is known"))),
            Cause::Abort => {
                desk.command(Command::Abort(self.session.expect("a session is known"), AbortReason::Declined));
            }
            Cause::Boot(_) => unreachable!("a boot begins another life"),
        }
    }

    /// A message as it arrives: the receiver's count gives it a number that was not there before.
    fn copy(&self, message: MessageId, sequence: u64) -> Bytes {
        let Saying { author, attempt, content } = self.saying(message).clone();
        let session = self.session.expect("what is said is of a session");
        self.seal(author, Body::Session(SessionMessage { session, attempt, sequence, content }))
    }

    fn seal(&self, author: u8, body: Body) -> Bytes {
        let entropy = Entropy::new([255; 32]).expect("not all zero");
        let (mut signer, _) = Toy::boot(&secret(author), entropy, &Meter::default());
        seal::<ToyVerifier>(signer.as_mut(), Network::Regtest, body).expect("the stand-in signs")
    }

    /// The message's number, whatever its place in its author's sequence. Presences have none: they arrive at once.
    fn intern(&mut self, bytes: Bytes) -> Option<MessageId> {
        let message = Message::decode(bytes).expect("a node sends messages").unsigned;
        let author = self.keys.iter().position(|key| *key == message.author).expect("a signer") as u8;
        let Body::Session(SessionMessage { session, attempt, content, .. }) = message.body else { return None };
        self.session = Some(session);
        let step = SessionMessage { session, attempt, sequence: 0, content: content.clone() };
        let key = self.seal(author, Body::Session(step));
        Some(*self.by_bytes.entry(key).or_insert_with(|| {
            self.messages.push(Saying { author, attempt, content });
            MessageId::try_from(self.messages.len() - 1).expect("few messages make a small world")
        }))
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
            config.broadcast_timeout = Duration::from_nanos(1);
        }
        config
    }
}

/// A node and what is around it.
struct Desk {
    node: Node<ToyVerifier>,
    host: Surroundings,
    clock: u64,
    /// How many messages have arrived in this life.
    position: u64,
}

impl Desk {
    /// From here on counts what happens.
    fn begin(&mut self) {
        self.host.sent.clear();
        self.host.events.clear();
        self.host.wrote = false;
    }

    fn input(&mut self, input: Input) {
        self.node.handle(now(self.clock), input);
        self.settle();
    }

    fn command(&mut self, command: Command) {
        // One that is refused changes nothing, and leads back to the same state.
        let _ = self.node.command(now(self.clock), command);
        self.settle();
    }

    /// Takes all outputs: what is written is durable at once, and what is announced is approved at once.
    fn settle(&mut self) {
        loop {
            drain(&mut self.node, &mut self.host);
            if let Some(sequence) = self.host.written.take() {
                self.node.handle(now(self.clock), Input::Persisted(sequence));
            } else if let Some(operation) = self.host.lookups.pop() {
                self.node.handle(now(self.clock), Input::LookupFinished(operation));
            } else if let Some(session) = self.host.announced.take() {
                // A refusal that came before the announcement has ended it already.
                let _ = self.node.command(now(self.clock), Command::Join { session, allow: [Unusual::Opaque].into() });
            } else {
                break;
            }
        }
    }
}

#[derive(Default)]
struct Surroundings {
    records: Records,
    wrote: bool,
    written: Option<RecordSequence>,
    sent: Vec<(u8, Bytes)>,
    events: Vec<Event>,
    lookups: Vec<OperationId>,
    announced: Option<SessionId>,
}

impl Host for Surroundings {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.records.insert(key, value)),
            None => drop(self.records.remove(&key)),
        }
        self.wrote = true;
        self.written = Some(sequence);
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.sent.push((to.as_bytes()[0] - 1, bytes));
    }

    fn event(&mut self, event: Event) {
        if let Event::SessionAnnounced { session, .. } = &event {
            self.announced = Some(*session);
        }
        self.events.push(event);
    }

    fn lookup(&mut self, operation: OperationId, _: String) {
        self.lookups.push(operation);
    }

    fn subscribe(&mut self, _: Topic) {}
    fn publish(&mut self, _: Topic, _: Bytes) {}
    fn verdict(&mut self, _: GossipId, _: Verdict) {}
    fn dial(&mut self, _: PeerId, _: Vec<Address>) {}
    fn release(&mut self, _: PeerId) {}
    fn store(&mut self, _: String, _: Bytes, _: Duration) {}
    fn unsubscribe(&mut self, _: Topic) {}
}

fn is_protocol(reason: &TimerReason) -> bool {
    matches!(reason, TimerReason::Stalled(_) | TimerReason::Retry(_) | TimerReason::Turn(_))
}

fn secret(node: u8) -> [u8; 32] {
    [node + 1; 32]
}

fn peer(node: u8) -> PeerId {
    PeerId::from_bytes(&[node + 1]).expect("one byte names a peer")
}

fn now(clock: u64) -> Now {
    Now { mono: Mono::from_nanos(clock), wall: Wall::from_millis(WALL + clock / 1_000_000) }
}
