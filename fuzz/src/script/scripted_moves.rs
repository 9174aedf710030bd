//! The moves of scripted peers, from honest steps to anything that their keys can sign.
//!
//! Driven by the script. Scripted peers see all messages, so they can behave honestly at any point and stop at any
//! other.

use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PartialSignature, PublicNonce, Signature, Tweak};
use nelumbo_core::wire::{Content, Definition, Details, Message};

use super::super::journal::WALL;
use super::super::scheme::Scheme;
use super::super::source::Source;
use super::super::values;
use super::harness::{Harness, InFlight, peer_of};
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

fn session<S: Scheme>(harness: &Harness<S>, source: &mut Source<'_>) -> Option<Definition> {
    source.place(harness.sessions.len()).map(|place| harness.sessions[place].clone())
}

/// Announces a session of the scripted peer's own.
pub(super) fn announce<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let index = source.below(harness.participants.len());
    let mask = source.byte();
    let (suite, tweak, election) = (values::suite(source), values::tweak(source), values::method(source));
    let mut keys = harness.keys();
    keys.sort_unstable();
    let created_at = Wall::from_millis(WALL + harness.time / 1_000_000);
    let Some(peer) = harness.scripted(index) else { return };
    let definition = Definition {
        network: Network::Regtest,
        suite,
        creator: keys.binary_search(&peer.key).expect("everyone signs") as u16,
        keys,
        items: values::items(source.byte(), tweak),
        details: Details::default(),
        is_listed: false,
        election,
        created_at,
        expires_at: created_at.checked_add(core::time::Duration::from_secs(7_200)).expect("far from the end"),
        nonce: [source.byte(); 32],
    };
    let Some(nonces) = peer.nonces(0, &definition, 1) else { return };
    let bytes = peer.say(definition.id(), 1, 0, Content::Announce { definition: definition.clone().into(), nonces });
    if harness.sessions.len() < 8 && !harness.sessions.contains(&definition) {
        harness.sessions.push(definition);
    }
    send(harness, index, mask, &bytes);
}

/// Sends an honest nonce for the newest attempt.
pub(super) fn join<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(harness.participants.len()), source.byte());
    let Some(definition) = session(harness, source) else { return };
    let attempt = harness.transcript.attempt(&definition.id());
    let Some(peer) = harness.scripted(index) else { return };
    let Some(nonces) = peer.nonces(0, &definition, attempt) else { return };
    let content = if definition.index_of(&peer.key) == Some(usize::from(definition.creator)) {
        Content::Announce { definition: definition.clone().into(), nonces }
    } else {
        Content::Join { nonces }
    };
    let bytes = peer.say(definition.id(), attempt, 0, content);
    send(harness, index, mask, &bytes);
}

/// Sends an honest partial signature in the newest attempt, if all nonces are known.
pub(super) fn sign<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(harness.participants.len()), source.byte());
    let Some(definition) = session(harness, source) else { return };
    let attempt = harness.transcript.attempt(&definition.id());
    let Some(nonces) = harness.transcript.nonces(&definition, attempt) else { return };
    let Some(peer) = harness.scripted(index) else { return };
    let Some(partials) = peer.sign(0, &definition, attempt, &nonces) else { return };
    let content = Content::Partial { nonces: hash_of(&nonces), partials };
    let bytes = peer.say(definition.id(), attempt, 0, content);
    send(harness, index, mask, &bytes);
}

/// Sends any message about a session, in any attempt and with any sequence number.
pub(super) fn say<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(harness.participants.len()), source.byte());
    let Some(definition) = session(harness, source) else { return };
    let attempt = match source.below(4) {
        0 | 1 => harness.transcript.attempt(&definition.id()),
        2 => harness.transcript.attempt(&definition.id()).saturating_add(1),
        _ => u32::from(source.byte()),
    };
    let skip = match source.below(8) {
        0 => source.number(),
        1 => u64::from(source.byte()),
        _ => 0,
    };
    let Some(content) = (Step { harness, source, index, attempt }).content(&definition) else { return };
    let Some(peer) = harness.scripted(index) else { return };
    let bytes = peer.say(definition.id(), attempt, skip, content);
    send(harness, index, mask, &bytes);
}

/// A message of the scripted peer with this index in an attempt at a session.
struct Step<'h, 's, 'd, S: Scheme> {
    harness: &'h mut Harness<S>,
    source: &'s mut Source<'d>,
    index: usize,
    attempt: u32,
}

impl<S: Scheme> Step<'_, '_, '_, S> {
    fn content(&mut self, definition: &Definition) -> Option<Content> {
        Some(match self.source.below(8) {
            0 => {
                let mut definition = definition.clone();
                if self.source.flag() {
                    // Almost the same session.
                    definition.items[0] = values::items(self.source.byte(), Tweak::None)[0].clone();
                    definition.creator = u16::from(self.source.byte()) % definition.keys.len() as u16;
                }
                let nonces = self.nonces(&definition)?;
                Content::Announce { definition: definition.into(), nonces }
            }
            1 => Content::Join { nonces: self.nonces(definition)? },
            2 => self.partial(definition)?,
            3 => {
                let combined = self.harness.transcript.combine::<S::Verifier>(definition, self.attempt);
                let signatures = combined.filter(|_| self.source.flag());
                let others = || vec![Signature::from_bytes(self.source.array()); definition.items.len()];
                Content::Finalized { signatures: signatures.unwrap_or_else(others) }
            }
            4 => Content::Abort { reason: values::reason(self.source) },
            5 => Content::Confirmed,
            7 => Content::Waiting,
            6 => Content::Status { nonces: values::bits(self.source), partials: values::bits(self.source) },
            _ => values::content(self.source),
        })
    }

    /// Nonces: the first ones, others, somebody else's, or none at all.
    fn nonces(&mut self, definition: &Definition) -> Option<Vec<PublicNonce>> {
        let Self { harness, source, index, attempt } = self;
        match source.below(5) {
            0 => harness.scripted(*index)?.nonces(0, definition, *attempt),
            1 => harness.scripted(*index)?.nonces(1, definition, *attempt),
            2 => {
                let key = definition.keys[source.below(definition.keys.len())];
                harness.transcript.nonces_of(&definition.id(), *attempt, &key)
            }
            3 => Some(vec![PublicNonce::from_bytes([255; 66]); definition.items.len()]),
            _ => Some(vec![values::nonce(source); definition.items.len()]),
        }
    }

    /// A partial signature with the right or a wrong hash of nonces: right, of the other nonce, somebody else's, or
    /// none.
    fn partial(&mut self, definition: &Definition) -> Option<Content> {
        let Self { harness, source, index, attempt } = self;
        let mut nonces = harness.transcript.nonces(definition, *attempt)?;
        let kind = source.below(4);
        if kind == 1 {
            // As if everyone had seen the scripted peer's other nonce.
            let own = harness.scripted(*index)?.key;
            nonces[definition.index_of(&own)?] = harness.scripted(*index)?.nonces(1, definition, *attempt)?;
        }
        let partials = match kind {
            0 | 1 => harness.scripted(*index)?.sign(kind, definition, *attempt, &nonces),
            2 => {
                let key = definition.keys[source.below(definition.keys.len())];
                harness.transcript.partials_of(&definition.id(), *attempt, &key)
            }
            _ => None,
        };
        let others =
            |source: &mut Source<'_>| vec![PartialSignature::from_bytes(source.array()); definition.items.len()];
        let partials = partials.unwrap_or_else(|| others(source));
        let hash = if source.flag() { source.array() } else { hash_of(&nonces) };
        Some(Content::Partial { nonces: hash, partials })
    }
}

/// Sends a presence at any peer and of any time, by gossip or directly.
pub(super) fn presence<S: Scheme>(harness: &mut Harness<S>, source: &mut Source<'_>) {
    let index = source.below(harness.participants.len());
    let peer = peer_of(source.below(harness.participants.len() + 1));
    let to = source.below(harness.participants.len());
    let later = if source.flag() { source.number() } else { u64::from(source.byte()) };
    let from = peer_of(index);
    let Some(bytes) = harness.presence(index, peer, later) else { return };
    if source.flag() {
        harness.enqueue(InFlight::Gossip { from, to, bytes });
    } else {
        harness.enqueue(InFlight::Direct { from, to, bytes });
    }
}
