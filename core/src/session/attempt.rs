//! What one attempt collects: the signers' nonces, then their partial signatures, each a list with one for each item.
//!
//! Invariant: the first nonces and the first partial signatures of a signer stand; nothing replaces them. The items'
//! rounds are opened at most once, over all nonces. Driven by the session's machine.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::items::Items;
use crate::api::Refusal;
use crate::base::Bytes;
use crate::crypto::{NonceError, PartialSignature, PublicNonce, Signature, Verifier, tagged_hash};
use crate::evidence::Exhibit;
use crate::wire::{Bits, Content, Definition};

const NONCES_TAG: &str = "nelumbo/nonces/1";

/// A signer's contribution with the signed message that it came in.
#[derive(Debug)]
struct Held<T> {
    value: T,
    bytes: Bytes,
}

type Slots<T> = Vec<Option<Held<T>>>;

/// Partial signatures and the hash of the nonces that they are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) nonces: [u8; 32],
    pub(super) signatures: Vec<PartialSignature>,
}

/// One attempt.
pub(super) struct Attempt<V: Verifier> {
    nonces: Slots<Vec<PublicNonce>>,
    partials: Slots<Partial>,
    /// One for each item, and the hash of the nonces.
    rounds: Option<(Vec<V::Round>, [u8; 32])>,
}

impl<V: Verifier> Attempt<V> {
    pub(super) fn new(signers: usize) -> Self {
        Self { nonces: slots(signers), partials: slots(signers), rounds: None }
    }

    /// Stores a signer's nonces. `Ok(false)` when they are already here.
    pub(super) fn store_nonces(
        &mut self,
        index: usize,
        nonces: Vec<PublicNonce>,
        bytes: Bytes,
    ) -> Result<bool, Refusal> {
        store(&mut self.nonces, index, nonces, bytes)
    }

    /// Stores a signer's partial signatures, unverified. `Ok(false)` when they are already here.
    pub(super) fn store_partial(&mut self, index: usize, partial: Partial, bytes: Bytes) -> Result<bool, Refusal> {
        store(&mut self.partials, index, partial, bytes)
    }

    pub(super) fn has_all_nonces(&self) -> bool {
        self.nonces.iter().all(Option::is_some)
    }

    pub(super) fn has_all_partials(&self) -> bool {
        self.partials.iter().all(Option::is_some)
    }

    /// Whether the attempt waits for this signer: for its nonces, or once all nonces are here, for its partial
    /// signatures.
    pub(super) fn waits_for(&self, index: usize) -> bool {
        self.nonces[index].is_none() || (self.has_all_nonces() && self.partials[index].is_none())
    }

    pub(super) fn has_nonces_of(&self, index: usize) -> bool {
        self.nonces[index].is_some()
    }

    pub(super) fn has_partial_of(&self, index: usize) -> bool {
        self.partials[index].is_some()
    }

    /// The round of each item, once they are open.
    pub(super) fn rounds(&self) -> Option<&[V::Round]> {
        self.rounds.as_ref().map(|(rounds, _)| rounds.as_slice())
    }

    /// The hash of the list of nonces, once the rounds are open.
    pub(super) fn nonces_hash(&self) -> Option<[u8; 32]> {
        self.rounds.as_ref().map(|(_, hash)| *hash)
    }

    /// Fixes everything that depends on the nonces. An error comes with the item.
    pub(super) fn open_rounds(
        &mut self,
        verifier: &V,
        items: &Items<V>,
        definition: &Definition,
    ) -> Result<(), (usize, NonceError)> {
        assert!(self.rounds.is_none(), "nonces would sign twice if a round were opened twice");
        let opened = items.iter(definition).enumerate().map(|(item, (keys, message))| {
            verifier.open_round(keys, &self.nonces_of(item), message).map_err(|error| (item, error))
        });
        let rounds = opened.collect::<Result<_, _>>()?;
        let hash = nonces_hash(self.nonces.iter().flatten().map(|held| held.value.as_slice()));
        self.rounds = Some((rounds, hash));
        Ok(())
    }

    /// All signers' nonces of one item, in key order.
    pub(super) fn nonces_of(&self, item: usize) -> Vec<PublicNonce> {
        self.nonces.iter().flatten().map(|held| held.value[item]).collect()
    }

    /// All signers' partial signatures of one item.
    fn partials_of(&self, item: usize) -> Vec<PartialSignature> {
        self.partials.iter().flatten().map(|held| held.value.signatures[item]).collect()
    }

    /// Adds the partial signatures of each item up and verifies the results together. An error names the items whose
    /// signatures are wrong. `entropy` is as in [`Verifier::combine_many`].
    pub(super) fn combine(
        &self,
        verifier: &V,
        items: &Items<V>,
        entropy: &[u8; 32],
    ) -> Result<Vec<Signature>, Vec<usize>> {
        let (rounds, _) = self.rounds.as_ref().expect("partial signatures are combined in open rounds");
        let partials: Vec<_> = (0..rounds.len()).map(|item| self.partials_of(item)).collect();
        let sums = rounds.iter().zip(&partials).enumerate();
        let sums: Vec<_> = sums.map(|(item, (round, partials))| (items.keys(item), round, &partials[..])).collect();
        verifier.combine_many(&sums, entropy)
    }

    /// After a failed combination: who signed over other nonces, and whose partial signatures over these are wrong,
    /// each with the first item of which they are.
    ///
    /// `entropy` is as in [`Verifier::culprits`].
    pub(super) fn culprits(&self, verifier: &V, items: &Items<V>, wrong: &[usize], entropy: &[u8; 32]) -> Culprits {
        let (rounds, hash) = self.rounds.as_ref().expect("culprits are sought in open rounds");
        let partials = || self.partials.iter().flatten().enumerate();
        let other_nonces: Vec<usize> =
            partials().filter(|(_, held)| held.value.nonces != *hash).map(|(index, _)| index).collect();
        let mut invalid = BTreeMap::new();
        for item in wrong {
            let (nonces, partials) = (self.nonces_of(*item), self.partials_of(*item));
            for index in verifier.culprits(items.keys(*item), &rounds[*item], &nonces, &partials, entropy) {
                // Over other nonces, a partial signature that is wrong here says nothing against its signer.
                if !other_nonces.contains(&index) {
                    invalid.entry(index).or_insert(*item);
                }
            }
        }
        Culprits { invalid: invalid.into_iter().collect(), other_nonces }
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

    /// This signer's nonces as it signed them.
    pub(super) fn nonce_exhibit(&self, index: usize) -> Option<Exhibit> {
        self.nonces[index].as_ref().map(|held| Exhibit(held.bytes.clone()))
    }

    /// This signer's partial signatures as it signed them.
    pub(super) fn partial_exhibit(&self, index: usize) -> Option<Exhibit> {
        self.partials[index].as_ref().map(|held| Exhibit(held.bytes.clone()))
    }

    /// Each signer's nonces and partial signatures, as far as they are here.
    pub(super) fn contributions(&self) -> impl Iterator<Item = (Option<&[PublicNonce]>, Option<&Partial>)> + '_ {
        let nonces = self.nonces.iter().map(|held| held.as_ref().map(|held| held.value.as_slice()));
        nonces.zip(self.partials.iter().map(|held| held.as_ref().map(|held| &held.value)))
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = bool> + '_ {
        self.nonces.iter().map(Option::is_some)
    }
}

/// Why a combination failed.
#[derive(Debug)]
pub(super) struct Culprits {
    /// Signers, each with an item.
    pub(super) invalid: Vec<(usize, usize)>,
    pub(super) other_nonces: Vec<usize>,
}

/// What partial signatures name of the nonces that they are over: a tagged hash of all of them, signer by signer in key
/// order, and of each signer item by item.
pub(crate) fn nonces_hash<'a>(nonces: impl IntoIterator<Item = &'a [PublicNonce]>) -> [u8; 32] {
    let list: Vec<&[u8]> = nonces.into_iter().flatten().map(|nonce| nonce.as_bytes().as_slice()).collect();
    tagged_hash(NONCES_TAG, &list)
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
