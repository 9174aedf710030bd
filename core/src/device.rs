//! A signer that has nothing but the requests to go by: the firmware of a device, or a process of its own.
//!
//! Owns what such a signer must keep between the two requests of an attempt. Invariants: whatever is in a request is
//! checked here and nothing is taken from the node; what is shown to the person is what is signed; what is open is
//! bounded. Driven by whoever receives the requests.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::api::{SignReply, SignRequest};
use crate::approval::Summary;
use crate::crypto::{NonceSlot, PartialSignature, PublicNonce, Signer, SignerError, Verifier};
use crate::session::Items;
use crate::single::SingleSigner;
use crate::wire::Definition;

/// A signer away from its node.
pub struct Device<V: Verifier, S> {
    verifier: V,
    signer: S,
    /// The sessions of slots that were served, for the second request.
    drawn: BTreeMap<NonceSlot, Drawn<V>>,
    /// Of these the ones that have signed, oldest first.
    signed: VecDeque<NonceSlot>,
    /// Signs with the key alone.
    single: Option<SingleSigner>,
}

struct Drawn<V: Verifier> {
    definition: Arc<Definition>,
    items: Items<V>,
}

impl<V: Verifier, S: Signer<V>> Device<V, S> {
    /// How many attempts may be open at once.
    const MAX_OPEN: usize = 1024;
    /// How many that have signed are remembered for a request that is repeated, beside those that are open.
    const MAX_SIGNED: usize = 64;

    /// A device with this signer, for 1,024 attempts that are open at once. Of those that have signed it remembers the
    /// newest 64, for a request that is repeated.
    pub const fn new(verifier: V, signer: S) -> Self {
        Self { verifier, signer, drawn: BTreeMap::new(), signed: VecDeque::new(), single: None }
    }

    /// One that also signs with its key alone what it is shown. Without, it refuses to.
    #[must_use]
    pub fn with_single(mut self, single: SingleSigner) -> Self {
        self.single = Some(single);
        self
    }

    /// What the person is to be asked before [`answer`](Self::answer): what signing the session does. Nothing for
    /// requests about which nobody is asked, among them one that was answered before.
    ///
    /// # Errors
    /// Why the request is refused whatever the person says: the session breaks a rule, is another than the slot says,
    /// or the signer is none of its signers.
    pub fn summary(&self, request: &SignRequest) -> Result<Option<Summary>, SignerError> {
        if let SignRequest::Single { single, .. } = request {
            let summary = single.summary(&self.signer.public_key());
            return summary.map(Some).map_err(|_| SignerError::RoundMismatch);
        }
        let SignRequest::Nonces { slot, definition } = request else { return Ok(None) };
        if self.drawn.get(slot).is_some_and(|drawn| drawn.definition == *definition) {
            return Ok(None);
        }
        let items = self.aggregate(*slot, definition)?;
        let summary = Summary::of(definition, &items.challenge_keys(&self.verifier));
        summary.map(Some).map_err(|_| SignerError::RoundMismatch)
    }

    /// Does what is asked, without asking anybody. Nothing for requests that have no reply.
    pub fn answer(&mut self, request: &SignRequest) -> Option<SignReply> {
        match request {
            SignRequest::Nonces { slot, definition } => {
                Some(SignReply::Nonces { slot: *slot, nonces: self.draw(*slot, definition) })
            }
            SignRequest::Partials { slot, nonces } => {
                Some(SignReply::Partials { slot: *slot, partials: self.sign(*slot, nonces) })
            }
            SignRequest::Single { .. } => {
                let reply = self.single.as_mut().and_then(|single| single.answer(request));
                reply.or_else(|| request.failed(SignerError::Unavailable))
            }
            SignRequest::Forget(slot) => {
                self.signer.forget(*slot);
                self.drawn.remove(slot);
                self.signed.retain(|other| other != slot);
                None
            }
            SignRequest::ForgetAll => {
                self.signer.forget_all();
                self.drawn.clear();
                self.signed.clear();
                None
            }
        }
    }

    /// What the session's items are signed with, when it is a session of this signer's and the one that the slot names.
    fn aggregate(&self, slot: NonceSlot, definition: &Definition) -> Result<Items<V>, SignerError> {
        if definition.id().as_bytes() != &slot.session || definition.check(Duration::MAX).is_err() {
            return Err(SignerError::RoundMismatch);
        }
        definition.index_of(&self.signer.public_key()).ok_or(SignerError::NotASigner)?;
        Items::new(&self.verifier, definition).map_err(|_| SignerError::RoundMismatch)
    }

    fn draw(&mut self, slot: NonceSlot, definition: &Arc<Definition>) -> Result<Vec<PublicNonce>, SignerError> {
        if !self.drawn.contains_key(&slot) {
            if self.drawn.len() - self.signed.len() >= Self::MAX_OPEN {
                return Err(SignerError::TooManyNonces);
            }
            let items = self.aggregate(slot, definition)?;
            let nonces = self.signer.nonces(slot, &items.iter(definition).collect::<Vec<_>>())?;
            self.drawn.insert(slot, Drawn { definition: definition.clone(), items });
            return Ok(nonces);
        }
        // The slot's session is its id: there is no other.
        let Drawn { definition, items } = &self.drawn[&slot];
        self.signer.nonces(slot, &items.iter(definition).collect::<Vec<_>>())
    }

    fn sign(&mut self, slot: NonceSlot, nonces: &[Vec<PublicNonce>]) -> Result<Vec<PartialSignature>, SignerError> {
        let Drawn { definition, items } = self.drawn.get(&slot).ok_or(SignerError::NoNonce)?;
        if nonces.len() != definition.items.len() {
            return Err(SignerError::RoundMismatch);
        }
        let open = |((keys, message), nonces): ((_, &[u8]), &Vec<_>)| self.verifier.open_round(keys, nonces, message);
        let rounds: Result<Vec<_>, _> = items.iter(definition).zip(nonces).map(open).collect();
        let rounds = rounds.map_err(|_| SignerError::RoundMismatch)?;
        let rounds = rounds.iter().enumerate().map(|(item, round)| (items.keys(item), round));
        let partials = self.signer.sign(slot, &rounds.collect::<Vec<_>>())?;
        if !self.signed.contains(&slot) {
            self.signed.push_back(slot);
            if self.signed.len() > Self::MAX_SIGNED
                && let Some(oldest) = self.signed.pop_front()
            {
                self.drawn.remove(&oldest);
            }
        }
        Ok(partials)
    }
}

impl<V: Verifier, S: Signer<V>> fmt::Debug for Device<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("key", &self.signer.public_key())
            .field("drawn", &self.drawn.len())
            .finish_non_exhaustive()
    }
}
