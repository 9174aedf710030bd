//! Target `decode`: whatever bytes come, they are one message or none.
//!
//! Invariants: no panic; what decodes encodes back to the same bytes, and what was encoded decodes to the same value;
//! the summary of what is signed accounts for every satoshi.

use core::fmt;
use core::time::Duration;

use nelumbo_core::approval::{Signs, Summary};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::wire::{Body, Content, Message};

/// Bytes from the network. They show the message that they are, if they are one.
pub struct Raw(pub(crate) Vec<u8>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Message::decode(self.0.as_slice().into()) {
            Ok(message) => message.fmt(f),
            Err(error) => write!(f, "b\"{}\", which is no message: {error:?}", self.0.escape_ascii()),
        }
    }
}

pub(crate) fn run(Raw(data): &Raw) {
    let Ok(message) = Message::decode(data.as_slice().into()) else { return };
    check(&message);
}

/// What holds for every message that was decoded.
pub(crate) fn check(message: &Message) {
    let mut bytes = postcard::to_allocvec(&message.unsigned).expect("memory");
    message.delegation.iter().for_each(|one| bytes.extend(postcard::to_allocvec(one).expect("memory")));
    bytes.extend_from_slice(message.signature.as_bytes());
    assert_eq!(bytes[..], message.bytes[..], "encode(decode(b)) = b");
    assert_eq!(message.digest(), message.digest());
    if let Body::Session(step) = &message.unsigned.body
        && let Content::Announce { definition, .. } = &step.content
    {
        let again = postcard::to_allocvec(definition).expect("memory");
        assert_eq!(postcard::from_bytes(&again).as_ref(), Ok(definition), "decode(encode(x)) = x");
        // The id is a function of the definition alone, and a definition that holds has a creator.
        assert_eq!(definition.id(), definition.clone().id());
        if definition.check(Duration::MAX).is_ok() {
            assert_eq!(definition.index_of(definition.creator_key()), Some(usize::from(definition.creator)));
        }
        // Whatever it says has a summary or none, and a summary accounts for every satoshi.
        let of_key = |key: &PublicKey| Summary::of(definition, &vec![*key; definition.items.len()]);
        if let Some(Ok(summary)) = definition.keys.first().map(of_key) {
            assert!(!summary.to_string().chars().any(char::is_control));
            if let Signs::Transaction(spends) = &summary.signs {
                assert_eq!(spends.total_out + spends.fee, spends.total_in);
            }
        }
    }
}
