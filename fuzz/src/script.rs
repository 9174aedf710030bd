//! Targets `script` and `script_curve`: two to four signers, some of them puppets, and an adversary who owns the
//! network, the clocks and the power switches.
//!
//! Owns the script's language: [`op`] names what a byte does. A number keeps its meaning for good, because findings are
//! kept as bytes; new moves take new numbers. Invariants are in `checks` and in [`Watch`](super::watch::Watch).

mod checks;
mod honest;
mod puppet;
mod puppetry;
mod world;

use nelumbo_core::api::{Command, Input, NewSession};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::Bytes;
use nelumbo_core::wire::SessionId;

use super::scheme::Scheme;
use super::source::Source;
use super::values;
use world::{Flight, World, peer_of};

/// The moves. Every other byte delivers what is oldest.
pub(crate) mod op {
    pub(crate) const QUIET: u8 = 1;
    pub(crate) const DELIVER: u8 = 2;
    pub(crate) const DROP: u8 = 3;
    pub(crate) const DUPLICATE: u8 = 4;
    pub(crate) const DELAY: u8 = 5;
    pub(crate) const REPLAY: u8 = 6;
    pub(crate) const CORRUPT: u8 = 7;
    pub(crate) const CREATE: u8 = 8;
    pub(crate) const COMMAND: u8 = 9;
    pub(crate) const JOIN_ALL: u8 = 10;
    pub(crate) const PASS: u8 = 11;
    pub(crate) const DEADLINE: u8 = 12;
    pub(crate) const CRASH: u8 = 13;
    pub(crate) const START: u8 = 14;
    pub(crate) const SYNC: u8 = 15;
    pub(crate) const SYNCS: u8 = 16;
    pub(crate) const UNLINK: u8 = 17;
    pub(crate) const LINK: u8 = 18;
    pub(crate) const PEER: u8 = 19;
    pub(crate) const PUPPET_ANNOUNCES: u8 = 20;
    pub(crate) const PUPPET_JOINS: u8 = 21;
    pub(crate) const PUPPET_SIGNS: u8 = 22;
    pub(crate) const PUPPET_SAYS: u8 = 23;
    pub(crate) const PUPPET_PRESENCE: u8 = 24;
    pub(crate) const CROWD: u8 = 25;
}

/// What came of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// How often a node told its owner of a final signature.
    pub completed: usize,
    /// How often a node told its owner that an attempt failed.
    pub failed: usize,
}

pub(crate) fn play<S: Scheme>(data: &[u8]) -> Played {
    let checks = world_after::<S>(data).checks;
    Played { completed: checks.completed, failed: checks.failed }
}

/// What a script leaves behind, for seeds.
pub(crate) struct Record {
    /// Every message that left anyone.
    pub(crate) said: Vec<Bytes>,
    /// The journal of the first party.
    pub(crate) journal: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) fn record<S: Scheme>(data: &[u8]) -> Record {
    let mut world = world_after::<S>(data);
    let journal = world.honest(0).expect("the first party is honest").disk.records();
    Record { said: world.past, journal }
}

fn world_after<S: Scheme>(data: &[u8]) -> World<S> {
    let source = &mut Source::new(data);
    let parties = 2 + source.below(3);
    let mut world = World::<S>::new(parties, source.byte());
    let manner = source.byte();
    for index in 0..parties {
        if let Some(honest) = world.honest(index) {
            honest.syncs = manner >> index & 1 == 0;
            // Calendars differ by up to four minutes.
            honest.ahead = u64::from(manner >> 4) * 16_000 * (index as u64 & 1);
        }
    }
    (0..parties).for_each(|index| world.start(index));
    world.pass(100_000_000);
    world.quiet();
    for _ in 0..128 {
        if source.is_empty() || world.patience == 0 {
            break;
        }
        step(&mut world, source);
    }
    // Whatever is still held or due comes out now.
    (0..parties).for_each(|index| sync(&mut world, index, usize::MAX));
    world.quiet();
    world
}

fn step<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let parties = world.parties.len();
    match source.byte() {
        op::QUIET => world.quiet(),
        op::DELIVER => {
            if let Some(flight) = pick(world, source) {
                world.deliver(flight);
            }
        }
        op::DROP => drop(pick(world, source)),
        op::DUPLICATE => {
            if let Some(flight) = pick(world, source) {
                world.deliver(flight.clone());
                world.flying.push_back(flight);
            }
        }
        op::DELAY => {
            if let Some(flight) = pick(world, source) {
                world.flying.push_back(flight);
            }
        }
        op::REPLAY => replay(world, source),
        op::CORRUPT => corrupt(world, source),
        op::CREATE => create(world, source),
        op::CROWD => crowd(world, source),
        op::COMMAND => command(world, source),
        op::JOIN_ALL => {
            if let Some(session) = known(world, source) {
                (0..parties)
                    .for_each(|index| world.command(index, Command::Join { session, allow: Unusual::ALL.into() }));
            }
        }
        op::PASS => {
            let millis = [1, 100, 2_000, 5_000, 30_000, 60_000, 300_000, 600_000, 3_600_000, 7_200_000];
            world.pass(millis[source.below(millis.len())] * 1_000_000);
        }
        op::DEADLINE => {
            let next = (0..parties).filter_map(|index| world.honest(index)?.deadline()).min();
            world.pass(next.map_or(0, |next| next.saturating_sub(world.time)));
        }
        op::CRASH => {
            let (index, kept) = (source.below(parties), source.below(4));
            world.crash(index, kept);
        }
        op::START => world.start(source.below(parties)),
        op::SYNC => {
            let (index, count) = (source.below(parties), 1 + source.below(4));
            sync(world, index, count);
        }
        op::SYNCS => {
            if let Some(honest) = world.honest(source.below(parties)) {
                honest.syncs = !honest.syncs;
            }
        }
        op::UNLINK => world.unlink(source.below(parties), source.below(parties)),
        op::LINK => world.link(source.below(parties), source.below(parties)),
        op::PEER => {
            let (index, peer) = (source.below(parties), peer_of(source.below(parties + 1)));
            world.command(index, if source.flag() { Command::Ban(peer) } else { Command::Pardon(peer) });
        }
        op::PUPPET_ANNOUNCES => puppetry::announce(world, source),
        op::PUPPET_JOINS => puppetry::join(world, source),
        op::PUPPET_SIGNS => puppetry::sign(world, source),
        op::PUPPET_SAYS => puppetry::say(world, source),
        op::PUPPET_PRESENCE => puppetry::presence(world, source),
        _ => {
            if let Some(flight) = world.flying.pop_front() {
                world.deliver(flight);
            }
        }
    }
}

fn pick<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) -> Option<Flight> {
    let place = source.place(world.flying.len())?;
    world.flying.remove(place)
}

fn known<S: Scheme>(world: &World<S>, source: &mut Source<'_>) -> Option<SessionId> {
    source.place(world.known.len()).map(|place| world.known[place].id())
}

fn sync<S: Scheme>(world: &mut World<S>, index: usize, count: usize) {
    let time = world.time;
    if let Some(honest) = world.honest(index) {
        honest.sync(time, count);
        world.input(index, Input::Tick);
    }
}

/// Something old comes again, from a stranger: connections are authenticated, so it cannot come from an honest peer.
fn replay<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let (to, parties) = (source.below(world.parties.len()), world.parties.len());
    // From the newest backwards, in steps of any size.
    let back = usize::from(u16::from_le_bytes(source.array()));
    let Some(place) = world.past.len().checked_sub(1 + back % world.past.len().max(1)) else { return };
    let bytes = world.past[place].clone();
    let from = peer_of(parties);
    world.deliver(if source.flag() { Flight::Gossip { from, to, bytes } } else { Flight::Direct { from, to, bytes } });
}

fn corrupt<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let Some(Flight::Direct { to, bytes, .. } | Flight::Gossip { to, bytes, .. }) = pick(world, source) else { return };
    let mut bytes = bytes.to_vec();
    let bit = usize::from(u16::from_le_bytes(source.array())) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    world.deliver(Flight::Direct { from: peer_of(world.parties.len()), to, bytes: bytes.into() });
}

fn create<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let index = source.below(world.parties.len());
    let without = source.byte();
    let (suite, tweak, election) = (values::suite(source), values::tweak(source), values::method(source));
    let message = vec![source.byte(); 32];
    let mut place = 0;
    let mut keys = world.keys();
    keys.retain(|_| {
        place += 1;
        without >> (place - 1) & 1 == 0
    });
    world.command(
        index,
        Command::Create(Box::new(NewSession { tweak, election, ..NewSession::new(suite, keys, message) })),
    );
}

/// A session of all parties and of many signers who are never there.
fn crowd<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let (index, absent) = (source.below(world.parties.len()), source.byte() % 125);
    // One is enough, and slow enough.
    if world.known.iter().any(|definition| definition.keys.len() > world.parties.len()) {
        return;
    }
    let mut keys = world.keys();
    keys.extend((0..absent).map(|number| S::key(100 + number)));
    let (suite, election) = (values::suite(source), values::method(source));
    world.command(
        index,
        Command::Create(Box::new(NewSession { election, ..NewSession::new(suite, keys, vec![8; 32]) })),
    );
}

fn command<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let index = source.below(world.parties.len());
    let kind = source.below(5);
    let Some(session) = known(world, source) else { return };
    world.command(
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
