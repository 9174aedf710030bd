//! Target `roundtrip`: values of every wire type, through bytes and back.
//!
//! Invariants: a value within the wire's bounds comes back as it was, and one beyond them is refused; no prefix and no
//! extension of a message is a message.

use arbitrary::{Arbitrary, Result, Unstructured};
use nelumbo_core::crypto::{Network, PublicKey, Signature};
use nelumbo_core::wire::{
    Body, Content, DecodeError, Definition, Delegation, Item, MAX_ADDRESSES, MAX_ITEMS, MAX_MESSAGE, MAX_SIGNERS,
    Message, Subject, Unsigned, VERSION,
};

use super::decode;
use super::input::{Fixed, draw};
use super::values::Wire;

/// A message, and the byte after it.
#[derive(Arbitrary, Debug)]
pub struct Value {
    #[arbitrary(with = version)]
    version: u8,
    #[arbitrary(with = draw)]
    network: Network,
    #[arbitrary(with = draw)]
    author: PublicKey,
    signature: Fixed<64>,
    body: Wire<Body>,
    delegation: Option<Wire<Delegation>>,
    next: u8,
}

/// Mostly ours.
fn version(u: &mut Unstructured<'_>) -> Result<u8> {
    if u8::arbitrary(u)? == 255 { u8::arbitrary(u) } else { Ok(VERSION) }
}

pub(crate) fn run(value: &Value) {
    let Value { version, network, author, body: Wire(body), .. } = value;
    let signature = Signature::from_bytes(value.signature.0);
    let unsigned = Unsigned { version: *version, network: *network, author: *author, body: body.clone() };
    let mut bytes = postcard::to_allocvec(&unsigned).expect("memory");
    // Where nothing is left, nobody has delegated.
    let delegation = value.delegation.as_ref().map(|Wire(delegation)| delegation);
    delegation.iter().for_each(|one| bytes.extend(postcard::to_allocvec(one).expect("memory")));
    bytes.extend_from_slice(signature.as_bytes());
    let expected = if *version != VERSION {
        Err(DecodeError::Version(*version))
    } else if is_within_bounds(&unsigned.body) {
        Ok(())
    } else {
        Err(DecodeError::Malformed)
    };
    match Message::decode(bytes.as_slice().into()) {
        Ok(message) => {
            assert_eq!(expected, Ok(()), "{unsigned:?} is beyond the bounds and was taken");
            assert_eq!((&message.unsigned, message.signature), (&unsigned, signature), "decode(encode(x)) = x");
            assert_eq!(message.delegation.as_deref(), delegation);
            decode::check(&message);
        }
        Err(error) => assert_eq!(expected, Err(error), "{unsigned:?}"),
    }
    assert!(Message::decode(bytes[..bytes.len() - 1].into()).is_err(), "cut short: {unsigned:?}");
    bytes.push(value.next);
    assert!(Message::decode(bytes.as_slice().into()).is_err(), "one byte more: {unsigned:?}");
}

fn is_within_bounds(body: &Body) -> bool {
    match body {
        Body::Presence(presence) => presence.addresses.len() <= MAX_ADDRESSES,
        Body::Advertisement(advertisement) => advertisement.addresses.len() <= MAX_ADDRESSES,
        Body::Request(definition) => is_definition_within_bounds(definition),
        Body::Session(step) => match &step.content {
            Content::Announce { definition, nonces } => {
                is_definition_within_bounds(definition) && nonces.len() <= MAX_ITEMS
            }
            Content::Join { nonces } => nonces.len() <= MAX_ITEMS,
            Content::Partial { partials, .. } => partials.len() <= MAX_ITEMS,
            Content::Finalized { signatures } => signatures.len() <= MAX_ITEMS,
            Content::Status { nonces, partials } => [nonces, partials]
                .into_iter()
                .all(|bits| postcard::to_allocvec(bits).expect("memory").len() <= 1 + MAX_SIGNERS / 8),
            _ => true,
        },
        Body::RequestNotice(notice) => notice.keys.len() <= MAX_SIGNERS,
        Body::Resource(_) | Body::Listing(_) | Body::Protocol(_) => true,
    }
}

fn is_definition_within_bounds(definition: &Definition) -> bool {
    let is_within = |item: &Item| !matches!(&item.subject, Subject::Message(message) if message.len() > MAX_MESSAGE);
    definition.keys.len() <= MAX_SIGNERS
        && definition.items.len() <= MAX_ITEMS
        && definition.items.iter().all(is_within)
}
