//! Targets `script` and `script_curve`: two to four signers, some of them scripted peers, and an adversary who owns the
//! network, the clocks and the power switches.
//!
//! The script's language is in `moves`. Invariants are in `checks` and in
//! [`SafetyMonitor`](super::monitor::SafetyMonitor).

mod checks;
mod harness;
mod honest_node;
pub(crate) mod moves;
mod scripted_moves;
mod scripted_peer;

use nelumbo_core::api::{Command, Input, NewSession};
use nelumbo_core::base::Bytes;
use nelumbo_core::wire::SessionId;

use super::node_bytes::SessionCommand;
use super::scheme::Scheme;
use super::values;
use harness::{Harness, InFlight, peer_of};
pub use moves::Script;
use moves::{Move, NewSessionOf};
use scripted_moves::Line;

/// How many moves are made.
const MAX_MOVES: usize = 128;

/// The outcome of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often a node reported a final signature.
    pub completed: usize,
    /// How often a node reported that an attempt failed.
    pub failed: usize,
}

pub(crate) fn run<S: Scheme>(script: &Script) -> Outcome {
    let checks = harness_after::<S>(script).checks;
    Outcome { completed: checks.completed, failed: checks.failed }
}

/// The messages and the journal of a script, from which seeds are made.
pub(crate) struct Recording {
    /// Every message that was sent.
    pub(crate) said: Vec<Bytes>,
    /// The journal of the first participant.
    pub(crate) journal: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) fn record<S: Scheme>(script: &Script) -> Recording {
    let mut harness = harness_after::<S>(script);
    let journal = harness.honest(0).expect("the first party is honest").disk.records();
    Recording { said: harness.sent_messages, journal }
}

fn harness_after<S: Scheme>(script: &Script) -> Harness<S> {
    let participants = 2 + usize::from(script.more % 3);
    let mut harness = Harness::<S>::new(participants, script.scripted);
    for index in 0..participants {
        if let Some(honest) = harness.honest(index) {
            honest.syncs_at_once = script.slow_disks >> index & 1 == 0;
            // Calendars differ by up to four minutes.
            honest.wall_offset = u64::from(script.apart % 16) * 16_000 * (index as u64 & 1);
        }
    }
    (0..participants).for_each(|index| harness.start(index));
    harness.advance_time(100_000_000);
    harness.deliver_all();
    for each in script.moves.iter().take(MAX_MOVES) {
        if harness.delivery_budget == 0 {
            break;
        }
        make(&mut harness, each);
    }
    // Whatever is still held or due comes out now.
    (0..participants).for_each(|index| sync(&mut harness, index, usize::MAX));
    harness.deliver_all();
    harness
}

fn make<S: Scheme>(harness: &mut Harness<S>, each: &Move) {
    let participants = harness.participants.len();
    let at = |index: &u8| usize::from(*index) % participants;
    match each {
        Move::Next => {
            if let Some(item) = harness.in_flight.pop_front() {
                harness.deliver(item);
            }
        }
        Move::DeliverAll => harness.deliver_all(),
        Move::Deliver { place } => {
            if let Some(item) = pick(harness, *place) {
                harness.deliver(item);
            }
        }
        Move::Drop { place } => drop(pick(harness, *place)),
        Move::Duplicate { place } => {
            if let Some(item) = pick(harness, *place) {
                harness.deliver(item.clone());
                harness.in_flight.push_back(item);
            }
        }
        Move::Delay { place } => {
            if let Some(item) = pick(harness, *place) {
                harness.in_flight.push_back(item);
            }
        }
        Move::Replay { to, back, by_gossip } => replay(harness, at(to), usize::from(*back), *by_gossip),
        Move::Corrupt { place, bit } => corrupt(harness, *place, usize::from(*bit)),
        Move::Create { by, without, session } => create(harness, at(by), *without, session),
        Move::CreateWithAbsent { by, absent, suite, election } => {
            let new = NewSession { election: *election, ..NewSession::new(*suite, Vec::new(), vec![8; 32]) };
            create_with_absent(harness, at(by), absent % 125, new);
        }
        Move::Command { by, session, command } => give(harness, at(by), *session, command),
        Move::JoinAll { session } => {
            (0..participants).for_each(|index| give(harness, index, *session, &SessionCommand::Join));
        }
        Move::Advance { by } => harness.advance_time(by.millis() * 1_000_000),
        Move::Deadline => {
            let next = (0..participants).filter_map(|index| harness.honest(index)?.deadline()).min();
            harness.advance_time(next.map_or(0, |next| next.saturating_sub(harness.time)));
        }
        Move::Crash { who, kept } => harness.crash(at(who), usize::from(kept % 4)),
        Move::Start { who } => harness.start(at(who)),
        Move::Sync { who, more } => sync(harness, at(who), 1 + usize::from(more % 4)),
        Move::ToggleSync { who } => {
            if let Some(honest) = harness.honest(at(who)) {
                honest.syncs_at_once = !honest.syncs_at_once;
            }
        }
        Move::Disconnect { one, other } => harness.disconnect(at(one), at(other)),
        Move::Connect { one, other } => harness.connect(at(one), at(other)),
        Move::Ban { by, peer } => harness.command(at(by), Command::Ban(peer_of(peer_or_unknown(*peer, participants)))),
        Move::Unban { by, peer } => {
            harness.command(at(by), Command::Unban(peer_of(peer_or_unknown(*peer, participants))));
        }
        Move::ScriptedAnnounce { by, to, session, nonce } => {
            scripted_moves::announce(harness, at(by), *to, session, *nonce);
        }
        Move::ScriptedJoin { by, to, session } => scripted_moves::join(harness, at(by), *to, *session),
        Move::ScriptedSign { by, to, session } => scripted_moves::sign(harness, at(by), *to, *session),
        Move::ScriptedSay { by, to, session, attempt, skip, said } => {
            let line = Line { by: at(by), to: *to, attempt, skip: skip.map_or(0, |skip| skip.0) };
            scripted_moves::say(harness, &line, *session, said);
        }
        Move::ScriptedPresence { by, of, to, later, by_gossip } => {
            let peer = peer_of(peer_or_unknown(*of, participants));
            scripted_moves::presence(harness, at(by), peer, at(to), later.0, *by_gossip);
        }
    }
}

/// The index of a participant, or of an unknown peer.
fn peer_or_unknown(index: u8, participants: usize) -> usize {
    usize::from(index) % (participants + 1)
}

fn pick<S: Scheme>(harness: &mut Harness<S>, place: u8) -> Option<InFlight> {
    let flying = harness.in_flight.len();
    (flying > 0).then(|| harness.in_flight.remove(usize::from(place) % flying))?
}

fn session_id<S: Scheme>(harness: &Harness<S>, place: u8) -> Option<SessionId> {
    harness.session(place).map(|definition| definition.id())
}

fn sync<S: Scheme>(harness: &mut Harness<S>, index: usize, count: usize) {
    let time = harness.time;
    if let Some(honest) = harness.honest(index) {
        honest.sync(time, count);
        harness.input(index, Input::Tick);
    }
}

/// Delivers an old message again, from the newest backwards, and from an unknown peer: connections are authenticated,
/// so it cannot come from an honest one.
fn replay<S: Scheme>(harness: &mut Harness<S>, to: usize, back: usize, by_gossip: bool) {
    let Some(place) = harness.sent_messages.len().checked_sub(1 + back % harness.sent_messages.len().max(1)) else {
        return;
    };
    let (from, bytes) = (peer_of(harness.participants.len()), harness.sent_messages[place].clone());
    let item = if by_gossip { InFlight::Gossip { from, to, bytes } } else { InFlight::Direct { from, to, bytes } };
    harness.deliver(item);
}

fn corrupt<S: Scheme>(harness: &mut Harness<S>, place: u8, bit: usize) {
    let Some(InFlight::Direct { to, bytes, .. } | InFlight::Gossip { to, bytes, .. }) = pick(harness, place) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    harness.deliver(InFlight::Direct { from: peer_of(harness.participants.len()), to, bytes: bytes.into() });
}

/// Creates a session of all participants but those with a bit in `without`.
fn create<S: Scheme>(harness: &mut Harness<S>, by: usize, without: u8, new: &NewSessionOf) {
    let items = values::items(new.items, new.tweak);
    let with = |(place, key)| (without >> place & 1 == 0).then_some(key);
    let keys = harness.keys().into_iter().enumerate().filter_map(with).collect();
    let session = NewSession { items, election: new.election, ..NewSession::new(new.suite, keys, Vec::new()) };
    harness.command(by, Command::Create(Box::new(session)));
}

/// Creates a session of all participants and of many signers that are never connected.
fn create_with_absent<S: Scheme>(harness: &mut Harness<S>, by: usize, absent: u8, new: NewSession) {
    // One is enough, and slow enough.
    if harness.sessions.iter().any(|definition| definition.keys.len() > harness.participants.len()) {
        return;
    }
    let mut keys = harness.keys();
    keys.extend((0..absent).map(|number| S::key(100 + number)));
    harness.command(by, Command::Create(Box::new(NewSession { keys, ..new })));
}

fn give<S: Scheme>(harness: &mut Harness<S>, by: usize, session: u8, command: &SessionCommand) {
    if let Some(session) = session_id(harness, session) {
        harness.command(by, command.on(session));
    }
}
