//! A nonce signs at most once.
//!
//! For each signer, session and attempt there is one public nonce and one partial signature, whatever crashes happened
//! in between, and no public nonce appears in two attempts. Two partial signatures with one nonce over different
//! challenges reveal the key.

use std::collections::BTreeMap;

use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{PartialSignature, PublicKey, PublicNonce};
use nelumbo_core::wire::{Body, Content, Message, SessionId};

type Slot = (PublicKey, SessionId, u32);

/// All nonces and partial signatures that have ever been sent.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    nonces: BTreeMap<Slot, PublicNonce>,
    slots: BTreeMap<PublicNonce, Slot>,
    partials: BTreeMap<Slot, ([u8; 32], PartialSignature)>,
}

impl Nonces {
    /// Looks at a message that a node sends.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn sent(&mut self, bytes: &Bytes) -> Result<(), String> {
        let Ok(message) = Message::decode(bytes.clone()) else { return Ok(()) };
        let Body::Session(step) = message.unsigned.body else { return Ok(()) };
        let slot = (message.unsigned.author, step.session, step.attempt);
        match step.content {
            Content::Announce { nonce, .. } | Content::Join { nonce } => {
                if *self.nonces.entry(slot).or_insert(nonce) != nonce {
                    return Err(format!("two nonces in one attempt: {slot:?}"));
                }
                if *self.slots.entry(nonce).or_insert(slot) != slot {
                    return Err(format!("one nonce in two attempts: {slot:?}"));
                }
            }
            Content::Partial { nonces, partial } => {
                if *self.partials.entry(slot).or_insert((nonces, partial)) != (nonces, partial) {
                    return Err(format!("two partial signatures in one attempt: {slot:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
