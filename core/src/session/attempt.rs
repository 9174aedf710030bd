//! What one attempt collects: the signers' nonces, then their partial signatures.
//!
//! Invariant: the first nonce and the first partial signature of a signer stand; nothing replaces them. A round is
//! opened at most once, over all nonces. Driven by the session's machine.

use alloc::vec::Vec;

use crate::api::Refusal;
use crate::base::Bytes;
use crate::crypto::{CombineError, NonceError, PartialSignature, PublicNonce, Signature, Verifier, tagged_hash};
use crate::evidence::Exhibit;
use crate::wire::{Bits, Content};

const NONCES_TAG: &str = "nelumbo/nonces/1";

/// A signer's contribution with the signed message that it came in.
#[derive(Debug)]
struct Held<T> {
    value: T,
    bytes: Bytes,
}

type Slots<T> = Vec<Option<Held<T>>>;

/// A partial signature and the hash of the nonces that it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) nonces: [u8; 32],
    pub(super) signature: PartialSignature,
}

/// One attempt.
pub(super) struct Attempt<V: Verifier> {
    nonces: Slots<PublicNonce>,
    partials: Slots<Partial>,
    round: Option<(V::Round, [u8; 32])>,
}

impl<V: Verifier> Attempt<V> {
    pub(super) fn new(signers: usize) -> Self {
        Self { nonces: slots(signers), partials: slots(signers), round: None }
    }

    /// Stores a signer's nonce. `Ok(false)` when it is already here.
    pub(super) fn store_nonce(&mut self, index: usize, nonce: PublicNonce, bytes: Bytes) -> Result<bool, Refusal> {
        store(&mut self.nonces, index, nonce, bytes)
    }

    /// Stores a signer's partial signature, unverified. `Ok(false)` when it is already here.
    pub(super) fn store_partial(&mut self, index: usize, partial: Partial, bytes: Bytes) -> Result<bool, Refusal> {
        store(&mut self.partials, index, partial, bytes)
    }

    pub(super) fn has_all_nonces(&self) -> bool {
        self.nonces.iter().all(Option::is_some)
    }

    pub(super) fn has_all_partials(&self) -> bool {
        self.partials.iter().all(Option::is_some)
    }

    /// Whether the attempt waits for this signer: for its nonce, or once all nonces are here, for its partial
    /// signature.
    pub(super) fn waits_for(&self, index: usize) -> bool {
        self.nonces[index].is_none() || (self.has_all_nonces() && self.partials[index].is_none())
    }

    pub(super) fn has_nonce_of(&self, index: usize) -> bool {
        self.nonces[index].is_some()
    }

    pub(super) fn has_partial_of(&self, index: usize) -> bool {
        self.partials[index].is_some()
    }

    /// The nonces that are here, in key order.
    pub(super) fn nonces(&self) -> Vec<PublicNonce> {
        self.nonces.iter().flatten().map(|held| held.value).collect()
    }

    /// The round, once it is open.
    pub(super) fn round(&self) -> Option<&V::Round> {
        self.round.as_ref().map(|(round, _)| round)
    }

    /// The hash of the list of nonces, once the round is open.
    pub(super) fn nonces_hash(&self) -> Option<[u8; 32]> {
        self.round.as_ref().map(|(_, hash)| *hash)
    }

    /// Fixes everything that depends on the nonces.
    pub(super) fn open_round(&mut self, verifier: &V, keys: &V::Keys, message: &[u8]) -> Result<(), NonceError> {
        assert!(self.round.is_none(), "a nonce would sign twice if a round were opened twice");
        let nonces = self.nonces();
        self.round = Some((verifier.open_round(keys, &nonces, message)?, nonces_hash(&nonces)));
        Ok(())
    }

    /// Adds the partial signatures up and verifies the result once.
    pub(super) fn combine(&self, verifier: &V, keys: &V::Keys) -> Result<Signature, CombineError> {
        let (round, _) = self.round.as_ref().expect("partial signatures are combined in an open round");
        let partials: Vec<PartialSignature> = self.partials.iter().flatten().map(|held| held.value.signature).collect();
        verifier.combine(keys, round, &partials)
    }

    /// After a failed combination: who signed over other nonces, and whose partial signature over these is wrong.
    ///
    /// `entropy` is as in [`Verifier::culprits`].
    pub(super) fn culprits(&self, verifier: &V, keys: &V::Keys, entropy: &[u8; 32]) -> Culprits {
        let (round, hash) = self.round.as_ref().expect("culprits are sought in an open round");
        let nonces = self.nonces();
        let partials: Vec<Partial> = self.partials.iter().flatten().map(|held| held.value).collect();
        let signatures: Vec<PartialSignature> = partials.iter().map(|partial| partial.signature).collect();
        let is_over_others = |index: &usize| partials[*index].nonces != *hash;
        let mut invalid = verifier.culprits(keys, round, &nonces, &signatures, entropy);
        // Over other nonces, a partial signature that is wrong here says nothing against its signer.
        invalid.retain(|index| !is_over_others(index));
        Culprits { invalid, other_nonces: (0..partials.len()).filter(is_over_others).collect() }
    }

    /// Whose nonces and partial signatures are here.
    pub(super) fn status(&self) -> Content {
        Content::Status {
            nonces: Bits::collect(self.nonces.iter().map(Option::is_some)),
            partials: Bits::collect(self.partials.iter().map(Option::is_some)),
        }
    }

    /// The messages that someone lacks who has only these, nonces first.
    pub(super) fn lacking(&self, nonces: &Bits, partials: &Bits) -> Vec<Bytes> {
        let of_nonces = self.nonces.iter().enumerate().filter(|(index, _)| !nonces.contains(*index));
        let of_partials = self.partials.iter().enumerate().filter(|(index, _)| !partials.contains(*index));
        of_nonces
            .filter_map(|(_, held)| held.as_ref().map(|held| held.bytes.clone()))
            .chain(of_partials.filter_map(|(_, held)| held.as_ref().map(|held| held.bytes.clone())))
            .collect()
    }

    /// This signer's messages of the attempt so far.
    pub(super) fn messages_of(&self, index: usize) -> impl Iterator<Item = Bytes> + '_ {
        let nonce = self.nonces[index].as_ref().map(|held| held.bytes.clone());
        let partial = self.partials[index].as_ref().map(|held| held.bytes.clone());
        nonce.into_iter().chain(partial)
    }

    /// All nonces as their authors signed them, once they are all here.
    pub(super) fn nonce_exhibits(&self) -> Vec<Exhibit> {
        self.nonces.iter().flatten().map(|held| Exhibit(held.bytes.clone())).collect()
    }

    /// This signer's nonce as it signed it.
    pub(super) fn nonce_exhibit(&self, index: usize) -> Option<Exhibit> {
        self.nonces[index].as_ref().map(|held| Exhibit(held.bytes.clone()))
    }

    /// This signer's partial signature as it signed it.
    pub(super) fn partial_exhibit(&self, index: usize) -> Option<Exhibit> {
        self.partials[index].as_ref().map(|held| Exhibit(held.bytes.clone()))
    }

    /// Each signer's nonce and partial signature, as far as they are here.
    pub(super) fn contributions(&self) -> impl Iterator<Item = (Option<PublicNonce>, Option<Partial>)> + '_ {
        let nonces = self.nonces.iter().map(|held| held.as_ref().map(|held| held.value));
        nonces.zip(self.partials.iter().map(|held| held.as_ref().map(|held| held.value)))
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = bool> + '_ {
        self.nonces.iter().map(Option::is_some)
    }
}

/// Why a combination failed.
#[derive(Debug)]
pub(super) struct Culprits {
    pub(super) invalid: Vec<usize>,
    pub(super) other_nonces: Vec<usize>,
}

/// What a partial signature names of the nonces that it is over: a tagged hash of all of them, in key order.
pub(crate) fn nonces_hash(nonces: &[PublicNonce]) -> [u8; 32] {
    let list: Vec<u8> = nonces.iter().flat_map(|nonce| nonce.as_bytes()).copied().collect();
    tagged_hash(NONCES_TAG, &[&list])
}

fn slots<T>(signers: usize) -> Slots<T> {
    (0..signers).map(|_| None).collect()
}

fn store<T: PartialEq>(slots: &mut Slots<T>, index: usize, value: T, bytes: Bytes) -> Result<bool, Refusal> {
    match &slots[index] {
        Some(held) if held.value == value => Ok(false),
        Some(_) => Err(Refusal::Equivocation),
        None => {
            slots[index] = Some(Held { value, bytes });
            Ok(true)
        }
    }
}
