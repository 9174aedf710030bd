//! Targets `script` and `script_curve`: two to four signers, some of them scripted peers, and an adversary who owns the
//! network, the clocks and the power switches.
//!
//! Owns the script's language: [`op`] names what a byte does. A number keeps its meaning for good, because findings are
//! kept as bytes; new moves take new numbers. Invariants are in `checks` and in
//! [`SafetyMonitor`](super::monitor::SafetyMonitor).

mod checks;
mod harness;
mod honest_node;
mod scripted_moves;
mod scripted_peer;

use nelumbo_core::api::{Command, Input, NewSession};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::Bytes;
use nelumbo_core::wire::SessionId;

use super::scheme::Scheme;
use super::source::Source;
use super::values;
use harness::{Harness, InFlight, peer_of};

/// The moves. Every other byte delivers what is oldest.
pub(crate) mod op {
    pub(crate) const DELIVER_ALL: u8 = 1;
    pub(crate) const DELIVER: u8 = 2;
    pub(crate) const DROP: u8 = 3;
    pub(crate) const DUPLICATE: u8 = 4;
    pub(crate) const DELAY: u8 = 5;
    pub(crate) const REPLAY: u8 = 6;
    pub(crate) const CORRUPT: u8 = 7;
    pub(crate) const CREATE: u8 = 8;
    pub(crate) const COMMAND: u8 = 9;
    pub(crate) const JOIN_ALL: u8 = 10;
    pub(crate) const ADVANCE_TIME: u8 = 11;
    pub(crate) const DEADLINE: u8 = 12;
    pub(crate) const CRASH: u8 = 13;
    pub(crate) const START: u8 = 14;
    pub(crate) const SYNC: u8 = 15;
    pub(crate) const TOGGLE_SYNC: u8 = 16;
    pub(crate) const DISCONNECT: u8 = 17;
    pub(crate) const CONNECT: u8 = 18;
    pub(crate) const BAN: u8 = 19;
    pub(crate) const SCRIPTED_ANNOUNCE: u8 = 20;
    pub(crate) const SCRIPTED_JOIN: u8 = 21;
    pub(crate) const SCRIPTED_SIGN: u8 = 22;
    pub(crate) const SCRIPTED_SAY: u8 = 23;
    pub(crate) const SCRIPTED_PRESENCE: u8 = 24;
    pub(crate) const CREATE_WITH_ABSENT: u8 = 25;
}

/// The outcome of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often a node reported a final signature.
    pub completed: usize,
    /// How often a node reported that an attempt failed.
    pub failed: usize,
}

pub(crate) fn run_script<S: Scheme>(data: &[u8]) -> Outcome {
    let checks = harness_after::<S>(data).checks;
    Outcome { completed: checks.completed, failed: checks.failed }
}

/// The messages and the journal of a script, from which seeds are made.
pub(crate) struct Recording {
    /// Every message that was sent.
    pub(crate) said: Vec<Bytes>,
    /// The journal of the first participant.
    pub(crate) journal: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) fn record<S: Scheme>(data: &[u8]) -> Recording {
    let mut harness = harness_after::<S>(data);
    let journal = harness.honest(0).expect("the first party is honest").disk.records();
    Recording { said: harness.sent_messages, journal }
}

fn harness_after<S: Scheme>(data: &[u8]) -> Harness<S> {
    let source = &mut Source::new(data);
    let participants = 2 + source.below(3);
    let mut harness = Harness::<S>::new(participants, source.byte());
    let options = source.byte();
    for index in 0..participants {
        if let Some(honest) = harness.honest(index) {
            honest.syncs_at_once = options >> index & 1 == 0;
            // Calendars differ by up to four minutes.
            honest.wall_offset = u64::from(options >> 4) * 16_000 * (index as u64 & 1);
        }
    }
    (0..participants).for_each(|index| harness.start(index));
    harness.advance_time(100_000_000);
    harness.deliver_all();
    for _ in 0..128 {
        if source.is_empty() || harness.delivery_budget == 0 {
            break;
        }
        step(&mut harness, source);
    }
    // Whatever is still held or due comes out now.
    (0..participants).for_each(|index| sync(&mut harness, index, usize::MAX));
    harness.deliver_all();
    harness
}

fn step<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let participants = harness.participants.len();
    match source.byte() {
        op::DELIVER_ALL => harness.deliver_all(),
        op::DELIVER => {
            if let Some(item) = pick(harness, source) {
                harness.deliver(item);
            }
        }
        op::DROP => drop(pick(harness, source)),
        op::DUPLICATE => {
            if let Some(item) = pick(harness, source) {
                harness.deliver(item.clone());
                harness.in_flight.push_back(item);
            }
        }
        op::DELAY => {
            if let Some(item) = pick(harness, source) {
                harness.in_flight.push_back(item);
            }
        }
        op::REPLAY => replay(harness, source),
        op::CORRUPT => corrupt(harness, source),
        op::CREATE => create(harness, source),
        op::CREATE_WITH_ABSENT => create_with_absent(harness, source),
        op::COMMAND => command(harness, source),
        op::JOIN_ALL => {
            if let Some(session) = sessions(harness, source) {
                (0..participants)
                    .for_each(|index| harness.command(index, Command::Join { session, allow: Unusual::ALL.into() }));
            }
        }
        op::ADVANCE_TIME => {
            let millis = [1, 100, 2_000, 5_000, 30_000, 60_000, 300_000, 600_000, 3_600_000, 7_200_000];
            harness.advance_time(millis[source.below(millis.len())] * 1_000_000);
        }
        op::DEADLINE => {
            let next = (0..participants).filter_map(|index| harness.honest(index)?.deadline()).min();
            harness.advance_time(next.map_or(0, |next| next.saturating_sub(harness.time)));
        }
        op::CRASH => {
            let (index, kept) = (source.below(participants), source.below(4));
            harness.crash(index, kept);
        }
        op::START => harness.start(source.below(participants)),
        op::SYNC => {
            let (index, count) = (source.below(participants), 1 + source.below(4));
            sync(harness, index, count);
        }
        op::TOGGLE_SYNC => {
            if let Some(honest) = harness.honest(source.below(participants)) {
                honest.syncs_at_once = !honest.syncs_at_once;
            }
        }
        op::DISCONNECT => harness.disconnect(source.below(participants), source.below(participants)),
        op::CONNECT => harness.connect(source.below(participants), source.below(participants)),
        op::BAN => {
            let (index, peer) = (source.below(participants), peer_of(source.below(participants + 1)));
            harness.command(index, if source.flag() { Command::Ban(peer) } else { Command::Unban(peer) });
        }
        op::SCRIPTED_ANNOUNCE => scripted_moves::announce(harness, source),
        op::SCRIPTED_JOIN => scripted_moves::join(harness, source),
        op::SCRIPTED_SIGN => scripted_moves::sign(harness, source),
        op::SCRIPTED_SAY => scripted_moves::say(harness, source),
        op::SCRIPTED_PRESENCE => scripted_moves::presence(harness, source),
        _ => {
            if let Some(item) = harness.in_flight.pop_front() {
                harness.deliver(item);
            }
        }
    }
}

fn pick<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) -> Option<InFlight> {
    let place = source.place(harness.in_flight.len())?;
    harness.in_flight.remove(place)
}

fn sessions<S: Scheme>(harness: &Harness<S>, source: &mut Source<'_>) -> Option<SessionId> {
    source.place(harness.sessions.len()).map(|place| harness.sessions[place].id())
}

fn sync<S: Scheme>(harness: &mut Harness<S>, index: usize, count: usize) {
    let time = harness.time;
    if let Some(honest) = harness.honest(index) {
        honest.sync(time, count);
        harness.input(index, Input::Tick);
    }
}

/// Delivers an old message again, from an unknown peer: connections are authenticated, so it cannot come from an honest
/// one.
fn replay<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let (to, participants) = (source.below(harness.participants.len()), harness.participants.len());
    // From the newest backwards, in steps of any size.
    let back = usize::from(u16::from_le_bytes(source.array()));
    let Some(place) = harness.sent_messages.len().checked_sub(1 + back % harness.sent_messages.len().max(1)) else {
        return;
    };
    let bytes = harness.sent_messages[place].clone();
    let from = peer_of(participants);
    harness.deliver(if source.flag() {
        InFlight::Gossip { from, to, bytes }
    } else {
        InFlight::Direct { from, to, bytes }
    });
}

fn corrupt<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let Some(InFlight::Direct { to, bytes, .. } | InFlight::Gossip { to, bytes, .. }) = pick(harness, source) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    let bit = usize::from(u16::from_le_bytes(source.array())) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    harness.deliver(InFlight::Direct { from: peer_of(harness.participants.len()), to, bytes: bytes.into() });
}

fn create<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let index = source.below(harness.participants.len());
    let without = source.byte();
    let (suite, tweak, election) = (values::suite(source), values::tweak(source), values::method(source));
    let items = values::items(source.byte(), tweak);
    let mut place = 0;
    let mut keys = harness.keys();
    keys.retain(|_| {
        place += 1;
        without >> (place - 1) & 1 == 0
    });
    harness.command(
        index,
        Command::Create(Box::new(NewSession { items, election, ..NewSession::new(suite, keys, Vec::new()) })),
    );
}

/// Creates a session of all participants and of many signers that are never connected.
fn create_with_absent<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let (index, absent) = (source.below(harness.participants.len()), source.byte() % 125);
    // One is enough, and slow enough.
    if harness.sessions.iter().any(|definition| definition.keys.len() > harness.participants.len()) {
        return;
    }
    let mut keys = harness.keys();
    keys.extend((0..absent).map(|number| S::key(100 + number)));
    let (suite, election) = (values::suite(source), values::method(source));
    harness.command(
        index,
        Command::Create(Box::new(NewSession { election, ..NewSession::new(suite, keys, vec![8; 32]) })),
    );
}

fn command<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let index = source.below(harness.participants.len());
    let kind = source.below(5);
    let Some(session) = sessions(harness, source) else { return };
    harness.command(
        index,
        match kind {
            0 => Command::Join { session, allow: Unusual::ALL.into() },
            1 => Command::Abort(session, values::reason(source)),
            2 => Command::Retry(session),
            3 => Command::ConfirmBroadcast(session),
            _ => Command::Close(session),
        },
    );
}
