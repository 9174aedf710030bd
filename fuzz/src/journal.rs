//! Target `journal`: a node that begins with records that somebody has damaged or made up.
//!
//! Invariant: `Node::new` says what is wrong or gives a node that works. Keys of records are put right when the value
//! can be a session's, so that the fuzzer gets behind them; forged sessions have the node's key among theirs.

use nelumbo_core::api::{Command, Config, Input, NewSession};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, Suite, Tweak};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Definition, PeerId, SessionId};

use super::disk::{DEFINITION, SESSION, definition_key, session_key};
use super::input::{Bytes, Encode, choose, input};
use super::scheme::secret;
use super::values::{Wire, items};

/// The number of the signer whose journal it is.
pub(crate) const OWN: u8 = 1;
/// The time at which the node begins.
pub(crate) const WALL: u64 = 1_767_225_600_000;

/// How many records are looked at.
const MAX_RECORDS: usize = 8;

input! {
    /// A journal.
    pub struct Journal {
        pub(crate) records: Vec<Record>,
    }

    pub enum Record {
        Raw { key: Bytes, value: Bytes },
        /// With the key that belongs to it: a definition's own, or that of the session whose definition came last.
        Keyed { value: Bytes },
        /// A session, with a definition of its own and an attempt, and what follows that in its record.
        Forged { definition: Wire<Definition>, real: Option<Real>, attempt: u8, is_spent: bool, rest: Bytes },
    }

    /// What makes a definition hold: other signers' real keys, and messages that begin with this byte.
    pub struct Real {
        items: u8,
    }
}

pub(crate) fn run(journal: &Journal) {
    let own = secret(OWN).public_key();
    let (mut records, mut last) = (Vec::new(), SessionId::from_bytes([0; 32]));
    for record in journal.records.iter().take(MAX_RECORDS) {
        record.write(&own, &mut records, &mut last);
    }
    let entropy = Entropy::new([9; 32]).expect("not all zero");
    let boot = Boot {
        message_signer: Box::new(MessageKey::new(secret(OWN), entropy.stream("messages"))),
        verifier: Secp256k1,
        entropy,
        peer: PeerId::from_bytes(&[OWN]).expect("one byte names a peer"),
        records,
    };
    match Node::new(Config::new(Network::Regtest), boot, at(0)) {
        Ok(node) => live(node, own),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono::from_nanos(seconds * 1_000_000_000), wall: Wall::from_millis(WALL + seconds * 1000) }
}

impl Record {
    /// `last` is the session whose definition came last.
    fn write(&self, own: &PublicKey, records: &mut Vec<(Vec<u8>, Vec<u8>)>, last: &mut SessionId) {
        match self {
            Self::Raw { key, value } => records.push((key.0.clone(), value.0.clone())),
            Self::Keyed { value: Bytes(value) } => {
                let definition = value.strip_prefix(&[DEFINITION]).map(postcard::take_from_bytes::<Definition>);
                if let Some(Ok((definition, _))) = definition {
                    *last = definition.id();
                    records.push((definition_key(last), value.clone()));
                } else {
                    records.push((session_key(last), value.clone()));
                }
            }
            Self::Forged { definition: Wire(definition), real, attempt, is_spent, rest } => {
                let mut definition = definition.clone();
                definition.network = Network::Regtest;
                definition.keys.push(*own);
                definition.keys.sort_unstable();
                if let Some(real) = real {
                    real.mend(own, &mut definition);
                }
                let session = (SESSION, u32::from(*attempt), *is_spent);
                let mut value = postcard::to_allocvec(&session).expect("memory");
                value.extend_from_slice(&rest.0);
                *last = definition.id();
                let definition = postcard::to_allocvec(&(DEFINITION, &definition)).expect("memory");
                records.push((definition_key(last), definition));
                records.push((session_key(last), value));
            }
        }
    }
}

impl Real {
    fn mend(&self, own: &PublicKey, definition: &mut Definition) {
        definition.items = items(self.items, definition.items.first().map_or(Tweak::None, |item| item.tweak));
        definition.details.spending = None;
        definition.creator %= definition.keys.len() as u16;
        // Keys from thin air are rarely on the curve: others' real keys take their places.
        for (number, key) in definition.keys.iter_mut().enumerate().filter(|(_, key)| *key != own) {
            *key = secret(2 + number as u8).public_key();
        }
        definition.keys.sort_unstable();
        definition.keys.dedup();
    }
}

/// Runs the node that started from the records for half a day, and gives it a command.
fn live(mut node: Node, own: PublicKey) {
    for step in 0..6 {
        let now = at(step * step * 60 * 20);
        node.handle(now, Input::Tick);
        let sessions: Vec<_> = node.view().sessions().map(|session| session.id).collect();
        for session in sessions {
            let command = match step {
                1 => Command::ConfirmBroadcast(session),
                2 => Command::Retry(session),
                3 => Command::Join { session, allow: Unusual::ALL.into() },
                4 => Command::Close(session),
                _ => continue,
            };
            let _refused = node.command(now, command);
        }
        super::node_bytes::acknowledge(&mut node, now);
    }
    let keys = vec![own, secret(7).public_key()];
    let create = Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![1; 32])));
    node.command(at(50_000), create).expect("a node that has begun can create a session");
}
