//! What puppets can be made to do, from honest steps to anything that their keys can sign.
//!
//! Driven by the script. Puppets know all that has been said, so they can be honest at any point and stop at any other.

use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PartialSignature, PublicNonce, Signature};
use nelumbo_core::wire::{Content, Definition, Details, Message};

use super::super::journal::WALL;
use super::super::scheme::Scheme;
use super::super::source::Source;
use super::super::values;
use super::puppet::hash_of;
use super::world::{Flight, World, peer_of};

/// Sends a puppet's words to the parties in `mask`; to all when it is zero.
fn send<S: Scheme>(world: &mut World<S>, puppet: usize, mask: u8, bytes: &Bytes) {
    if let Ok(message) = Message::decode(bytes.clone()) {
        world.heard.hear(&message);
    }
    for to in (0..world.parties.len()).filter(|to| *to != puppet && (mask == 0 || mask >> to & 1 == 1)) {
        world.fly(Flight::Direct { from: peer_of(puppet), to, bytes: bytes.clone() });
    }
}

fn session<S: Scheme>(world: &World<S>, source: &mut Source<'_>) -> Option<Definition> {
    source.place(world.known.len()).map(|place| world.known[place].clone())
}

/// A session of the puppet's own.
pub(super) fn announce<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let index = source.below(world.parties.len());
    let mask = source.byte();
    let (suite, tweak, election) = (values::suite(source), values::tweak(source), values::method(source));
    let mut keys = world.keys();
    keys.sort_unstable();
    let created_at = Wall::from_millis(WALL + world.time / 1_000_000);
    let Some(puppet) = world.puppet(index) else { return };
    let definition = Definition {
        network: Network::Regtest,
        suite,
        creator: keys.binary_search(&puppet.key).expect("everyone signs") as u16,
        keys,
        tweak,
        message: vec![source.byte(); 32],
        details: Details::default(),
        is_listed: false,
        election,
        created_at,
        expires_at: created_at.checked_add(core::time::Duration::from_secs(7_200)).expect("far from the end"),
        nonce: [source.byte(); 32],
    };
    let Some(nonce) = puppet.nonce(0, &definition, 1) else { return };
    let bytes = puppet.say(definition.id(), 1, 0, Content::Announce { definition: definition.clone().into(), nonce });
    if world.known.len() < 8 && !world.known.contains(&definition) {
        world.known.push(definition);
    }
    send(world, index, mask, &bytes);
}

/// An honest answer to the newest attempt.
pub(super) fn join<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(world.parties.len()), source.byte());
    let Some(definition) = session(world, source) else { return };
    let attempt = world.heard.attempt(&definition.id());
    let Some(puppet) = world.puppet(index) else { return };
    let Some(nonce) = puppet.nonce(0, &definition, attempt) else { return };
    let content = if definition.index_of(&puppet.key) == Some(usize::from(definition.creator)) {
        Content::Announce { definition: definition.clone().into(), nonce }
    } else {
        Content::Join { nonce }
    };
    let bytes = puppet.say(definition.id(), attempt, 0, content);
    send(world, index, mask, &bytes);
}

/// An honest partial signature in the newest attempt, if all nonces are known.
pub(super) fn sign<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(world.parties.len()), source.byte());
    let Some(definition) = session(world, source) else { return };
    let attempt = world.heard.attempt(&definition.id());
    let Some(nonces) = world.heard.nonces(&definition, attempt) else { return };
    let Some(puppet) = world.puppet(index) else { return };
    let Some(partial) = puppet.sign(0, &definition, attempt, &nonces) else { return };
    let content = Content::Partial { nonces: hash_of(&nonces), partial };
    let bytes = puppet.say(definition.id(), attempt, 0, content);
    send(world, index, mask, &bytes);
}

/// Anything.
pub(super) fn say<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let (index, mask) = (source.below(world.parties.len()), source.byte());
    let Some(definition) = session(world, source) else { return };
    let attempt = match source.below(4) {
        0 | 1 => world.heard.attempt(&definition.id()),
        2 => world.heard.attempt(&definition.id()).saturating_add(1),
        _ => u32::from(source.byte()),
    };
    let skip = match source.below(8) {
        0 => source.number(),
        1 => u64::from(source.byte()),
        _ => 0,
    };
    let Some(content) = content(world, source, index, &definition, attempt) else { return };
    let Some(puppet) = world.puppet(index) else { return };
    let bytes = puppet.say(definition.id(), attempt, skip, content);
    send(world, index, mask, &bytes);
}

fn content<S: Scheme>(
    world: &mut World<S>,
    source: &mut Source<'_>,
    index: usize,
    definition: &Definition,
    attempt: u32,
) -> Option<Content> {
    Some(match source.below(8) {
        0 => {
            let mut definition = definition.clone();
            if source.flag() {
                // Almost the same session.
                definition.message[0] ^= source.byte();
                definition.creator = u16::from(source.byte()) % definition.keys.len() as u16;
            }
            let nonce = nonce(world, source, index, &definition, attempt)?;
            Content::Announce { definition: definition.into(), nonce }
        }
        1 => Content::Join { nonce: nonce(world, source, index, definition, attempt)? },
        2 => partial(world, source, index, definition, attempt)?,
        3 => {
            let combined = world.heard.combine::<S::Verifier>(definition, attempt);
            let signature = combined.filter(|_| source.flag());
            Content::Finalized { signature: signature.unwrap_or(Signature::from_bytes(source.array())) }
        }
        4 => Content::Abort { reason: values::reason(source) },
        5 => Content::Confirmed,
        6 => Content::Status { nonces: values::bits(source), partials: values::bits(source) },
        _ => values::content(source),
    })
}

/// A nonce: the first one, another one, somebody else's, or none at all.
fn nonce<S: Scheme>(
    world: &mut World<S>,
    source: &mut Source<'_>,
    index: usize,
    definition: &Definition,
    attempt: u32,
) -> Option<PublicNonce> {
    match source.below(5) {
        0 => world.puppet(index)?.nonce(0, definition, attempt),
        1 => world.puppet(index)?.nonce(1, definition, attempt),
        2 => {
            let key = definition.keys[source.below(definition.keys.len())];
            world.heard.nonce_of(&definition.id(), attempt, &key)
        }
        3 => Some(PublicNonce::from_bytes([255; 66])),
        _ => Some(values::nonce(source)),
    }
}

/// A partial signature with the right or a wrong hash of nonces: right, of the other nonce, somebody else's, or none.
fn partial<S: Scheme>(
    world: &mut World<S>,
    source: &mut Source<'_>,
    index: usize,
    definition: &Definition,
    attempt: u32,
) -> Option<Content> {
    let mut nonces = world.heard.nonces(definition, attempt)?;
    let kind = source.below(4);
    if kind == 1 {
        // As if everyone had seen the puppet's other nonce.
        let own = world.puppet(index)?.key;
        nonces[definition.index_of(&own)?] = world.puppet(index)?.nonce(1, definition, attempt)?;
    }
    let partial = match kind {
        0 | 1 => world.puppet(index)?.sign(kind, definition, attempt, &nonces),
        2 => {
            let key = definition.keys[source.below(definition.keys.len())];
            world.heard.partial_of(&definition.id(), attempt, &key)
        }
        _ => None,
    };
    let partial = partial.unwrap_or(PartialSignature::from_bytes(source.array()));
    let hash = if source.flag() { source.array() } else { hash_of(&nonces) };
    Some(Content::Partial { nonces: hash, partial })
}

/// A presence at any peer and of any time, by gossip or directly.
pub(super) fn presence<S: Scheme>(world: &mut World<S>, source: &mut Source<'_>) {
    let index = source.below(world.parties.len());
    let peer = peer_of(source.below(world.parties.len() + 1));
    let to = source.below(world.parties.len());
    let later = if source.flag() { source.number() } else { u64::from(source.byte()) };
    let from = peer_of(index);
    let Some(bytes) = world.presence(index, peer, later) else { return };
    if source.flag() {
        world.fly(Flight::Gossip { from, to, bytes });
    } else {
        world.fly(Flight::Direct { from, to, bytes });
    }
}
