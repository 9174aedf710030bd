//! The moves of scripted peers, from honest steps to anything that their keys can sign.
//!
//! Driven by the script. Scripted peers see all messages, so they can behave honestly at any point and stop at any
//! other.

use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PartialSignature, PublicNonce, Signature, Tweak};
use nelumbo_core::wire::{Content, Definition, Details, Message, PeerId};

use super::super::input::Fixed;
use super::super::journal::WALL;
use super::super::scheme::Scheme;
use super::super::values::{self, Wire};
use super::harness::{Harness, InFlight, peer_of};
use super::moves::{Attempt, NewSessionOf, Nonces, Partials, Said};
use super::scripted_peer::hash_of;

/// Sends a scripted peer's message to the participants in `mask`; to all when it is zero.
fn send<S: Scheme>(harness: &mut Harness<S>, peer: usize, mask: u8, bytes: &Bytes) {
    if let Ok(message) = Message::decode(bytes.clone()) {
        harness.transcript.hear(&message);
    }
    for to in (0..harness.participants.len()).filter(|to| *to != peer && (mask == 0 || mask >> to & 1 == 1)) {
        harness.enqueue(InFlight::Direct { from: peer_of(peer), to, bytes: bytes.clone() });
    }
}

/// Announces a session of the scripted peer's own.
pub(super) fn announce<S: Scheme>(harness: &mut Harness<S>, by: usize, to: u8, new: &NewSessionOf, nonce: u8) {
    let mut keys = harness.keys();
    keys.sort_unstable();
    let created_at = Wall::from_millis(WALL + harness.time / 1_000_000);
    let Some(peer) = harness.scripted(by) else { return };
    let definition = Definition {
        network: Network::Regtest,
        suite: new.suite,
        creator: keys.binary_search(&peer.key).expect("everyone signs") as u16,
        keys,
        items: values::items(new.items, new.tweak),
        details: Details::default(),
        is_listed: false,
        election: new.election,
        created_at,
        expires_at: created_at.checked_add(core::time::Duration::from_secs(7_200)).expect("far from the end"),
        nonce: [nonce; 32],
    };
    let Some(nonces) = peer.nonces(0, &definition, 1) else { return };
    let bytes = peer.say(definition.id(), 1, 0, Content::Announce { definition: definition.clone().into(), nonces });
    if harness.sessions.len() < 8 && !harness.sessions.contains(&definition) {
        harness.sessions.push(definition);
    }
    send(harness, by, to, &bytes);
}

/// Sends an honest nonce for the newest attempt.
pub(super) fn join<S: Scheme>(harness: &mut Harness<S>, by: usize, to: u8, session: u8) {
    let Some(definition) = harness.session(session).cloned() else { return };
    let attempt = harness.transcript.attempt(&definition.id());
    let Some(peer) = harness.scripted(by) else { return };
    let Some(nonces) = peer.nonces(0, &definition, attempt) else { return };
    let content = if definition.index_of(&peer.key) == Some(usize::from(definition.creator)) {
        Content::Announce { definition: definition.clone().into(), nonces }
    } else {
        Content::Join { nonces }
    };
    let bytes = peer.say(definition.id(), attempt, 0, content);
    send(harness, by, to, &bytes);
}

/// Sends an honest partial signature in the newest attempt, if all nonces are known.
pub(super) fn sign<S: Scheme>(harness: &mut Harness<S>, by: usize, to: u8, session: u8) {
    let Some(definition) = harness.session(session).cloned() else { return };
    let attempt = harness.transcript.attempt(&definition.id());
    let Some(nonces) = harness.transcript.nonces(&definition, attempt) else { return };
    let Some(peer) = harness.scripted(by) else { return };
    let Some(partials) = peer.sign(0, &definition, attempt, &nonces) else { return };
    let content = Content::Partial { nonces: hash_of(&nonces), partials };
    let bytes = peer.say(definition.id(), attempt, 0, content);
    send(harness, by, to, &bytes);
}

/// Sends any message about a session, in any attempt; `skip` is how many sequence numbers are left out.
pub(super) fn say<S: Scheme>(harness: &mut Harness<S>, line: &Line<'_>, session: u8, said: &Said) {
    let Some(definition) = harness.session(session).cloned() else { return };
    let newest = harness.transcript.attempt(&definition.id());
    let attempt = match line.attempt {
        Attempt::Newest => newest,
        Attempt::Next => newest.saturating_add(1),
        Attempt::Number { number } => u32::from(*number),
    };
    let Some(content) = (Step { harness, by: line.by, attempt }).content(&definition, said) else { return };
    let Some(peer) = harness.scripted(line.by) else { return };
    let bytes = peer.say(definition.id(), attempt, line.skip, content);
    send(harness, line.by, line.to, &bytes);
}

/// Who says something to whom, where in a session.
pub(super) struct Line<'a> {
    pub(super) by: usize,
    pub(super) to: u8,
    pub(super) attempt: &'a Attempt,
    pub(super) skip: u64,
}

/// A message of a scripted peer in an attempt at a session.
struct Step<'h, S: Scheme> {
    harness: &'h mut Harness<S>,
    by: usize,
    attempt: u32,
}

impl<S: Scheme> Step<'_, S> {
    fn content(&mut self, definition: &Definition, said: &Said) -> Option<Content> {
        Some(match said {
            Said::Announce { change, nonces } => {
                let mut definition = definition.clone();
                if let Some(change) = change {
                    definition.items[0] = values::items(change.items, Tweak::None)[0].clone();
                    definition.creator = u16::from(change.creator) % definition.keys.len() as u16;
                }
                let nonces = self.nonces(&definition, nonces)?;
                Content::Announce { definition: definition.into(), nonces }
            }
            Said::Join { nonces } => Content::Join { nonces: self.nonces(definition, nonces)? },
            Said::Partial { partials, hash } => self.partial(definition, partials, hash.as_ref())?,
            Said::Finalized { other } => {
                let combined = || self.harness.transcript.combine::<S::Verifier>(definition, self.attempt);
                let combined = if other.is_some() { None } else { combined() };
                let other = Signature::from_bytes(other.map_or([0; 64], |other| other.0));
                Content::Finalized { signatures: combined.unwrap_or_else(|| vec![other; definition.items.len()]) }
            }
            Said::Abort { reason } => Content::Abort { reason: *reason },
            Said::Confirmed => Content::Confirmed,
            Said::Waiting => Content::Waiting,
            Said::Busy => Content::Busy,
            Said::Status { nonces: Wire(nonces), partials: Wire(partials) } => {
                Content::Status { nonces: nonces.clone(), partials: partials.clone() }
            }
        })
    }

    fn nonces(&mut self, definition: &Definition, nonces: &Nonces) -> Option<Vec<PublicNonce>> {
        let Self { harness, by, attempt } = self;
        match nonces {
            Nonces::Own => harness.scripted(*by)?.nonces(0, definition, *attempt),
            Nonces::Second => harness.scripted(*by)?.nonces(1, definition, *attempt),
            Nonces::OfSigner { place } => {
                let key = definition.keys[usize::from(*place) % definition.keys.len()];
                harness.transcript.nonces_of(&definition.id(), *attempt, &key)
            }
            Nonces::OffTheCurve => Some(vec![PublicNonce::from_bytes([255; 66]); definition.items.len()]),
            Nonces::Any { nonce } => Some(vec![PublicNonce::from_bytes(nonce.0); definition.items.len()]),
        }
    }

    fn partial(&mut self, definition: &Definition, partials: &Partials, hash: Option<&Fixed<32>>) -> Option<Content> {
        let Self { harness, by, attempt } = self;
        let mut nonces = harness.transcript.nonces(definition, *attempt)?;
        if let Partials::OfSecond = partials {
            let own = harness.scripted(*by)?.key;
            nonces[definition.index_of(&own)?] = harness.scripted(*by)?.nonces(1, definition, *attempt)?;
        }
        let made = match partials {
            Partials::Own => harness.scripted(*by)?.sign(0, definition, *attempt, &nonces),
            Partials::OfSecond => harness.scripted(*by)?.sign(1, definition, *attempt, &nonces),
            Partials::OfSigner { place } => {
                let key = definition.keys[usize::from(*place) % definition.keys.len()];
                harness.transcript.partials_of(&definition.id(), *attempt, &key)
            }
            Partials::Any { .. } => None,
        };
        let other = if let Partials::Any { partial } = partials { partial.0 } else { [0; 32] };
        let others = || vec![PartialSignature::from_bytes(other); definition.items.len()];
        let hash = hash.map_or_else(|| hash_of(&nonces), |hash| hash.0);
        Some(Content::Partial { nonces: hash, partials: made.unwrap_or_else(others) })
    }
}

/// Sends a presence at any peer and of any time, by gossip or directly.
pub(super) fn presence<S: Scheme>(
    harness: &mut Harness<S>,
    by: usize,
    peer: PeerId,
    to: usize,
    later: u64,
    by_gossip: bool,
) {
    let from = peer_of(by);
    let Some(bytes) = harness.presence(by, peer, later) else { return };
    harness.enqueue(if by_gossip {
        InFlight::Gossip { from, to, bytes }
    } else {
        InFlight::Direct { from, to, bytes }
    });
}
